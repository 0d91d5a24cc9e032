"""verl's FSDP engine for HySparse policies: the rollout's choices reach the model, or are compared with its own.

Engines are registered publicly. verl does not promise to keep how a batch becomes a model's arguments and back.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from verl.workers.engine import EngineRegistry

from judgerlvr.engine.devices import COMPARING, REPLAYING
from judgerlvr.engine.private.carried_field import CARRIED
from judgerlvr.engine.private.training_engine import HeadEngine
from judgerlvr.hysparse.agreement.measures import equal_experts
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.replay.rollout_choices import blank, joined, unpacked


def for_model(carried: Tensor, lengths: Tensor, config: HySparseConfig, padding: int) -> dict[str, Tensor]:
    """``carried`` as the model's arguments for one packed row of samples with the offsets ``lengths``.

    ``padding`` tokens after the row see block 0 and use the first experts. ``block_indices`` is int32
    [layers, 1, kv_heads, tokens + padding, count]. A mixture of experts also gets ``expert_indices``, int32
    [MoE layers, 1, tokens + padding, top_k]. Raises ValueError as ``unpacked``.
    """
    samples = zip(carried.unbind(), lengths.diff().tolist(), strict=True)
    rows = [unpacked(values, tokens, config) for values, tokens in samples]
    choices = joined([*rows, blank(padding, config, carried.device)])
    given = {"block_indices": choices.blocks.transpose(1, 2).to(torch.int32)[:, None].contiguous()}
    if choices.experts is not None:
        given["expert_indices"] = choices.experts.to(torch.int32)[:, None]
    return given


def by_token(differing: Tensor, lengths: Tensor) -> Tensor:
    """How many of each token's choices differ, nested int32 [samples, tokens].

    ``differing`` is boolean [..., tokens], ``lengths`` the samples' offsets.
    """
    total = int(lengths[-1])
    count = differing.flatten(0, -2).sum(dim=0)[:total]
    return torch.nested.nested_tensor_from_jagged(count.to(torch.int32), lengths)


def compared(output: Any, carried: dict[str, Tensor], lengths: Tensor) -> dict[str, Tensor]:
    """How many of each token's choices of blocks (layer, KV head) and experts (layer) are not the rollout's."""
    blocks, experts = carried["block_indices"], carried.get("expert_indices")
    found = {
        "differing_used": by_token((output.used_blocks != blocks).any(dim=-1), lengths),
        "differing_chosen": by_token((output.chosen_blocks != blocks).any(dim=-1), lengths),
    }
    if experts is not None:
        found["differing_experts"] = by_token(~equal_experts(output.chosen_experts, experts), lengths)
    return found


class BlockEngine(HeadEngine):
    """A pass without gradients reports how choices differ. ``replays``: the model uses the rollout's choices."""

    replays = False

    def prepare_model_inputs(self, micro_batch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        inputs, arguments = super().prepare_model_inputs(micro_batch)
        # Indices are one row a token of whole packed rows.
        if inputs["attention_mask"] is not None or self.use_ulysses_sp:
            raise ValueError("HySparse: set use_remove_padding=True and ulysses_sequence_parallel_size=1")
        lengths = micro_batch["input_ids"].offsets()
        carried = for_model(micro_batch[CARRIED], lengths, self.model_config.hf_config, arguments["pad_size"])
        if self.replays:
            inputs |= carried
        if not torch.is_grad_enabled():
            inputs["output_blocks"], arguments["carried"] = True, carried
        return inputs, arguments

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: Any, logits_processor_func: Any
    ) -> dict[str, Any]:
        found: dict[str, Any] = super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        carried = output_args.get("carried")
        if carried is not None:
            found |= compared(output, carried, micro_batch["input_ids"].offsets())
        return found


@EngineRegistry.register(
    model_type="language_model", backend=["fsdp", "fsdp2"], device=["cuda", "npu"], vendor=COMPARING
)
class ComparingEngine(BlockEngine):
    """The model uses the trainer's own choices."""

    name = COMPARING


@EngineRegistry.register(
    model_type="language_model", backend=["fsdp", "fsdp2"], device=["cuda", "npu"], vendor=REPLAYING
)
class ReplayingEngine(BlockEngine):
    """The model uses the rollout's choices, in updates as in log-probabilities."""

    name = REPLAYING
    replays = True
