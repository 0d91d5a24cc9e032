"""HySparseForCausalLM in vLLM: the stock Qwen3-MoE body with HySparse attention in its layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from vllm.model_executor.layers.layernorm import RMSNorm
from vllm.model_executor.layers.logits_processor import LogitsProcessor
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
from vllm.model_executor.models.interfaces import SupportsPP
from vllm.model_executor.models.utils import AutoWeightsLoader, extract_layer_index, maybe_prefix

from judgerlvr.hysparse.vllm.attention import FullAttention, SparseAttention
from judgerlvr.hysparse.vllm.checks import check_engine
from judgerlvr.hysparse.vllm.compat import (
    Qwen3MoeMLP,
    Qwen3MoeModel,
    Qwen3MoeSparseMoeBlock,
    capture_routing,
    restore_expert_loaders,
)
from judgerlvr.hysparse.vllm.routing import ExpertCapture
from judgerlvr.hysparse.vllm.weights import apart, head_from_embedding, split_experts


def feed_forward(vllm_config: Any, layer: int, prefix: str) -> nn.Module:
    """Mixture of experts where the configuration has one in this layer, a dense MLP otherwise."""
    config = vllm_config.model_config.hf_text_config
    if layer in config.expert_layers:
        moe = Qwen3MoeSparseMoeBlock(vllm_config=vllm_config, prefix=prefix)
        tokens = vllm_config.scheduler_config.max_num_batched_tokens
        capture_routing(moe, ExpertCapture(tokens, config.num_experts_per_tok))
        return moe
    return Qwen3MoeMLP(config.hidden_size, config.intermediate_size, config.hidden_act, prefix=prefix)


class HySparseDecoderLayer(nn.Module):
    """Attention of either kind and a feed-forward block. vLLM carries the residual stream beside the hidden states."""

    def __init__(self, vllm_config: Any, prefix: str = "") -> None:
        super().__init__()
        config, layer = vllm_config.model_config.hf_text_config, extract_layer_index(prefix)
        row = config.rows[layer]
        # A layer of the cross-decoder makes its keys of what the layer ``borrows`` lends.
        self.layer, self.lends = layer, layer in config.lenders
        self.borrows = None if row.projects == layer else row.projects
        kind = FullAttention if row.full else SparseAttention
        self.self_attn = kind(vllm_config, layer, f"{prefix}.self_attn")
        self.mlp = feed_forward(vllm_config, layer, f"{prefix}.mlp")
        self.input_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(
        self, positions: Tensor, hidden: Tensor, residual: Tensor | None, lent: dict[int, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """``lent`` holds the normalised inputs of the layers that lend theirs to the cross-decoder."""
        lent = {} if lent is None else lent
        if residual is None:
            residual, hidden = hidden, self.input_layernorm(hidden)
        else:
            hidden, residual = self.input_layernorm(hidden, residual)
        if self.lends:
            lent[self.layer] = hidden
        hidden = self.self_attn(positions, hidden, None if self.borrows is None else lent[self.borrows])
        hidden, residual = self.post_attention_layernorm(hidden, residual)
        return self.mlp(hidden), residual


class BridgedModel(Qwen3MoeModel):
    """The stock body, in which layers of the cross-decoder also get what layers of the self-decoder lend.

    vLLM compiles what the stock body compiles, the method ``forward``. There is one pipeline stage.
    """

    def forward(
        self,
        input_ids: Tensor | None,
        positions: Tensor,
        intermediate_tensors: Any = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """Final hidden states [tokens, hidden_size]."""
        hidden = self.embed_input_ids(input_ids) if inputs_embeds is None else inputs_embeds
        residual: Tensor | None = None
        lent: dict[int, Tensor] = {}
        for layer in self.layers:
            hidden, residual = layer(positions, hidden, residual, lent)
        final: Tensor = self.norm(hidden, residual)[0]
        return final


class HySparseForCausalLM(nn.Module, SupportsPP):
    """Dense and mixture-of-experts HySparse. Raises ValueError if ``checks`` refuses the set-up."""

    packed_modules_mapping = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "gate_up_proj": ["gate_proj", "up_proj"]}  # noqa: RUF012

    def __init__(self, *, vllm_config: Any, prefix: str = "") -> None:
        super().__init__()
        check_engine(vllm_config)
        config = self.config = vllm_config.model_config.hf_text_config
        body = BridgedModel if config.lenders else Qwen3MoeModel
        self.model = body(
            vllm_config=vllm_config, prefix=maybe_prefix(prefix, "model"), decoder_layer_type=HySparseDecoderLayer
        )
        self.lm_head = ParallelLMHead(config.vocab_size, config.hidden_size, prefix=maybe_prefix(prefix, "lm_head"))
        if config.tie_word_embeddings:
            self.lm_head = self.lm_head.tie_weights(self.model.embed_tokens)
        self.logits_processor = LogitsProcessor(config.vocab_size)
        self.make_empty_intermediate_tensors = self.model.make_empty_intermediate_tensors

    def embed_input_ids(self, input_ids: Tensor) -> Tensor:
        embedded: Tensor = self.model.embed_input_ids(input_ids)
        return embedded

    def forward(
        self,
        input_ids: Tensor | None,
        positions: Tensor,
        intermediate_tensors: Any = None,
        inputs_embeds: Tensor | None = None,
    ) -> Any:
        """Final hidden states [tokens, hidden_size], or the input of the next pipeline stage."""
        return self.model(input_ids, positions, intermediate_tensors, inputs_embeds)

    def compute_logits(self, hidden_states: Tensor) -> Tensor | None:
        logits: Tensor | None = self.logits_processor(self.lm_head, hidden_states)
        return logits

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> set[str]:
        """Load checkpoint tensors by their names in transformers, in any parts and any number of times.

        Returns the names of this model's tensors that were set.
        """
        restore_expert_loaders(self)
        if self.config.tie_word_embeddings:
            weights = head_from_embedding(weights)
        named = apart(split_experts(weights), self.config.rows)
        loaded: set[str] = AutoWeightsLoader(self).load_weights(named)
        return loaded
