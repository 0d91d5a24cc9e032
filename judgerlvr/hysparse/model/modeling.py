"""HySparseForCausalLM: Qwen3(-MoE) blocks whose sparse layers attend with a full layer's K, V and selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, DynamicCache, GenerationMixin
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import MoeCausalLMOutputWithPast, MoeModelOutputWithPast
from transformers.models.glm4_moe.modeling_glm4_moe import Glm4MoeRotaryEmbedding
from transformers.models.qwen3_moe.modeling_qwen3_moe import (
    Qwen3MoeMLP,
    Qwen3MoePreTrainedModel,
    Qwen3MoeRMSNorm,
    Qwen3MoeTopKRouter,
    load_balancing_loss_func,
)
from transformers.utils import logging
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from judgerlvr.hysparse.model.attention import FullAttention, SelectedBlocks, SparseAttention, Step
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.experts import ChosenExperts, SparseMoeBlock
from judgerlvr.hysparse.ops.segments import segments_of

logger = logging.get_logger(__name__)
SINKS = ["sinks", "sinks_sparse", "sinks_swa"]


def feed_forward(config: HySparseConfig, layer: int) -> nn.Module:
    """Mixture of experts where the configuration has one in this layer, a dense MLP otherwise."""
    if layer in config.expert_layers:
        return SparseMoeBlock(config)
    return Qwen3MoeMLP(config, intermediate_size=config.intermediate_size)


class HySparseDecoderLayer(GradientCheckpointingLayer):
    """Attention of either kind and a feed-forward block, each on a normalised residual stream."""

    def __init__(self, config: HySparseConfig, layer: int) -> None:
        super().__init__()
        self.is_full, self.lends = config.rows[layer].full, layer in config.lenders
        self.self_attn = FullAttention(config, layer) if self.is_full else SparseAttention(config, layer)
        self.mlp = feed_forward(config, layer)
        self.input_layernorm = Qwen3MoeRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = Qwen3MoeRMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(
        self,
        hidden: Tensor,
        blocks: SelectedBlocks,
        step: Step,
        experts: ChosenExperts | None = None,
        lent: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Hidden states. A full layer also returns K and V for the sparse layers after it.

        A layer that lends its normalised input to the cross-decoder returns that input last.
        """
        normed, shared = self.input_layernorm(hidden), []
        if self.is_full:
            attended, *shared = self.self_attn(normed, blocks, step, lent)
        else:
            attended = self.self_attn(normed, blocks, step)
        shared += [normed] if self.lends else []
        hidden = hidden + attended
        normed = self.post_attention_layernorm(hidden)
        fed = self.mlp(normed) if experts is None else self.mlp(normed, experts)
        return hidden + fed, *shared


@dataclass
class HySparseModelOutput(MoeModelOutputWithPast):
    """``output_blocks`` asks for these fields: the blocks that the sparse layers used, and the blocks that the model
    chose by itself. The two differ if ``block_indices`` were given. int32 [selecting layers, batch, kv_heads, tokens,
    count]. A mixture of experts also returns the experts that it chose by itself, [MoE layers, batch, tokens, top_k].
    """

    used_blocks: Tensor | None = None
    chosen_blocks: Tensor | None = None
    chosen_experts: Tensor | None = None


@dataclass
class HySparseCausalLMOutput(MoeCausalLMOutputWithPast):
    """The same three fields beside the logits."""

    used_blocks: Tensor | None = None
    chosen_blocks: Tensor | None = None
    chosen_experts: Tensor | None = None


class HySparsePreTrainedModel(Qwen3MoePreTrainedModel):
    """Registration of the model's parts with transformers."""

    config: HySparseConfig
    config_class = HySparseConfig
    _no_split_modules = ["HySparseDecoderLayer"]  # noqa: RUF012
    _keep_in_fp32_modules_strict = SINKS
    _can_record_outputs = {  # noqa: RUF012
        "router_logits": OutputRecorder(Qwen3MoeTopKRouter, index=0),
        "hidden_states": OutputRecorder(HySparseDecoderLayer, index=0),
    }

    def _check_and_adjust_attn_implementation(self, *args: Any, **kwargs: Any) -> str:
        # Trainers ask for flash attention by default. The operations come from ops.dispatch in any case.
        return "eager"

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """As transformers' own. Raises ValueError for ``use_reentrant``, which does not see keys that layers share."""
        options = {"use_reentrant": False} | (gradient_checkpointing_kwargs or {})
        if options["use_reentrant"]:
            raise ValueError(
                "HySparse: sparse layers read keys that are not among their arguments; set use_reentrant=False"
            )
        super().gradient_checkpointing_enable(options)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        for name in SINKS:
            sinks = getattr(module, name, None)
            if isinstance(sinks, nn.Parameter):
                nn.init.zeros_(sinks)


class HySparseModel(HySparsePreTrainedModel):
    """Embedding, decoder layers and final norm."""

    def __init__(self, config: HySparseConfig) -> None:
        super().__init__(config)
        self.rows = config.rows
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(HySparseDecoderLayer(config, n) for n in range(config.num_hidden_layers))
        self.norm = Qwen3MoeRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        # Qwen3-MoE's own does not know heads that turn in part.
        self.rotary_emb = Glm4MoeRotaryEmbedding(config=config)
        self.gradient_checkpointing = False
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        cu_seqlens: Tensor | None = None,
        block_indices: Tensor | None = None,
        expert_indices: Tensor | None = None,
        output_blocks: bool = False,
        last_tokens: int = 0,
        **kwargs: Any,
    ) -> HySparseModelOutput:
        """Final hidden states [batch, tokens, hidden_size].

        ``attention_mask`` [batch, cached + tokens] marks padding. ``cu_seqlens`` [n + 1] cuts packed rows, and so do
        restarting ``position_ids`` [batch, tokens]. ``block_indices`` int32 [selecting layers, batch, kv_heads, tokens,
        count] replaces the model's own selection. ``expert_indices`` [MoE layers, batch, tokens, top_k] replaces the
        routers' choice. ``output_blocks`` returns both. ``last_tokens`` asks for the last hidden states only: a
        cross-decoder then computes no others, and the result may hold fewer tokens. Raises ValueError in the cases of
        ``segments_of``, and for indices of another shape.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        hidden = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        cache = self._cache(use_cache, past_key_values)
        if past_key_values is not None and cache is None and attention_mask is not None:
            attention_mask = attention_mask[:, -hidden.shape[1] :]
        step = self._step(hidden, cache, position_ids, attention_mask, cu_seqlens)
        self._check_indices(block_indices, expert_indices, hidden)
        selecting = self._selecting_layers(block_indices, output_blocks)
        experts = self._expert_layers(expert_indices, output_blocks)
        hidden = self.norm(self._run_layers(hidden, step, selecting, experts, last_tokens))
        output = HySparseModelOutput(last_hidden_state=hidden, past_key_values=cache)
        if output_blocks and selecting:
            output.used_blocks = torch.stack([blocks.indices for blocks in selecting.values()])
            output.chosen_blocks = torch.stack([blocks.chosen for blocks in selecting.values()])
        if output_blocks and experts:
            output.chosen_experts = torch.stack([layer.chosen for layer in experts.values()])
        return output

    def _cache(self, use_cache: bool | None, given: Cache | None) -> Cache | None:
        if given is not None and not isinstance(given, DynamicCache):
            raise ValueError(f"HySparse keeps its KV in a DynamicCache, not in a {type(given).__name__}; give no cache")
        # Without gradients no layer runs twice, so that ``generate()`` may keep its cache while training.
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            if given is not None:
                logger.warning_once("HySparse: gradient checkpointing uses no cache, so the given cache is unused")
            return None
        return DynamicCache(config=self.config) if use_cache and given is None else given

    def _step(
        self,
        hidden: Tensor,
        cache: Cache | None,
        position_ids: Tensor | None,
        attention_mask: Tensor | None,
        cu_seqlens: Tensor | None,
    ) -> Step:
        past = 0 if cache is None else cache.get_seq_length()
        shape = (hidden.shape[0], hidden.shape[1])
        segments = segments_of(shape, past, position_ids, attention_mask, cu_seqlens, hidden.device)
        positions = segments.positions if position_ids is None else position_ids
        return Step(self.rotary_emb(hidden, positions), segments, cache)

    def _check_indices(self, blocks: Tensor | None, experts: Tensor | None, hidden: Tensor) -> None:
        config, (rows, tokens, _) = self.config, hidden.shape
        layers, routed = len(config.selecting_layers), len(config.expert_layers)
        wanted = {
            "block_indices": (blocks, [layers, rows, config.num_key_value_heads, tokens, config.selection.count]),
            "expert_indices": (experts, [routed, rows, tokens, config.num_experts_per_tok]),
        }
        for name, (given, shape) in wanted.items():
            if given is not None and list(given.shape) != shape:
                raise ValueError(
                    f"{name} must have the shape {shape}, with an index row for each token, not {list(given.shape)}"
                )

    def _selecting_layers(self, given: Tensor | None, compare: bool) -> dict[int, SelectedBlocks]:
        layers = self.config.selecting_layers
        indices = [None] * len(layers) if given is None else given
        return {layer: SelectedBlocks(rows, compare) for layer, rows in zip(layers, indices, strict=True)}

    def _expert_layers(self, given: Tensor | None, compare: bool) -> dict[int, ChosenExperts]:
        if given is None and not compare:
            return {}
        layers = self.config.expert_layers
        indices = [None] * len(layers) if given is None else given.long()
        return {layer: ChosenExperts(rows, compare) for layer, rows in zip(layers, indices, strict=True)}

    def _run_layers(
        self,
        hidden: Tensor,
        step: Step,
        selecting: dict[int, SelectedBlocks],
        experts: dict[int, ChosenExperts],
        last_tokens: int,
    ) -> Tensor:
        blocks = SelectedBlocks()
        lent: dict[int | None, Tensor] = {}
        cross = self.config.self_decoder_layers
        for number, layer in enumerate(self.layers):
            if number in selecting:
                if not torch.is_grad_enabled():  # Layers that are run again for gradients still read the shared keys.
                    blocks.keys = blocks.values = None
                blocks = selecting[number]
            if last_tokens and number == cross > 0:
                hidden, step = hidden[:, -last_tokens:], step.last(last_tokens)
            hidden, *shared = layer(hidden, blocks, step, experts.get(number), lent.get(self.rows[number].projects))
            if layer.lends:
                lent[number] = shared.pop()
            if number in selecting:
                blocks.keys, blocks.values = shared
        return hidden


class HySparseForCausalLM(HySparsePreTrainedModel, GenerationMixin):
    """Language model head over HySparseModel."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: HySparseConfig) -> None:
        super().__init__(config)
        self.model = HySparseModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_router_logits: bool | None = None,
        cu_seqlens: Tensor | None = None,
        block_indices: Tensor | None = None,
        expert_indices: Tensor | None = None,
        output_blocks: bool = False,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> HySparseCausalLMOutput:
        """Logits [batch, tokens kept, vocab_size], and the loss if ``labels`` (-100 = ignored) are given."""
        config = self.config
        router = config.output_router_logits if output_router_logits is None else output_router_logits
        # A loss and a balance of experts read every token, and so does whoever compares choices.
        asked = logits_to_keep if isinstance(logits_to_keep, int) else 0
        asked = 0 if labels is not None or router or output_blocks else asked
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_router_logits=router and config.num_experts > 0,
            cu_seqlens=cu_seqlens,
            block_indices=block_indices,
            expert_indices=expert_indices,
            output_blocks=output_blocks,
            last_tokens=asked,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept, :])
        loss = None if labels is None else self.loss_function(logits, labels, self.vocab_size, **kwargs)
        balance = self._balance_loss(outputs.router_logits, attention_mask)
        if loss is not None and balance is not None:
            loss = loss + config.router_aux_loss_coef * balance
        return HySparseCausalLMOutput(
            loss=loss,
            aux_loss=balance,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            router_logits=outputs.router_logits,
            used_blocks=outputs.used_blocks,
            chosen_blocks=outputs.chosen_blocks,
            chosen_experts=outputs.chosen_experts,
        )

    def _balance_loss(self, router_logits: Any, attention_mask: Tensor | None) -> Tensor | None:
        if not router_logits:
            return None
        config = self.config
        return load_balancing_loss_func(router_logits, config.num_experts, config.num_experts_per_tok, attention_mask)
