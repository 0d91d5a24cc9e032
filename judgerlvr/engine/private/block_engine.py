"""verl's FSDP engine for HySparse policies: the rollout's block indices reach the model, or are compared with its own.

Engines are registered publicly; how one batch is turned into a model's arguments and back is not promised to stay.
Imported by verl in each worker (``model.external_lib``).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from verl.utils import tensordict_utils as tu
from verl.workers.engine import EngineRegistry, FSDPEngineWithLMHead

from judgerlvr.engine.profiles import COMPARING, OWN_CHOICE, REPLAYING
from judgerlvr.hysparse.ops.selection import PADDING

# verl's field for what a rollout chose at each token and layer: nested int16 [samples, tokens, layers, heads * count].
CARRIED = "routed_experts"


def for_model(carried: Tensor, kv_heads: int, padding: int) -> Tensor:
    """``carried`` as the model takes it for one packed row with ``padding`` tokens after it, which see block 0.

    Returns int32 [layers, 1, kv_heads, tokens + padding, count].
    """
    rows = carried.values().unflatten(-1, (kv_heads, -1)).permute(1, 2, 0, 3).to(torch.int32)
    blank = torch.full_like(rows[:, :, :1], PADDING)
    blank[..., 0] = 0
    return torch.cat([rows, blank.expand(-1, -1, padding, -1)], dim=2)[:, None].contiguous()


def differing(blocks: Tensor, carried: Tensor, lengths: Tensor) -> Tensor:
    """Number of choices (layer, KV head) of each token that are not the rollout's, nested [samples, tokens].

    ``blocks`` and ``carried`` are int32 [layers, 1, kv_heads, tokens, count], ``lengths`` the samples' offsets.
    """
    total = int(lengths[-1])
    count = (blocks != carried).any(dim=-1).sum(dim=(0, 1, 2))[:total]
    return torch.nested.nested_tensor_from_jagged(count.to(torch.int32), lengths)


class BlockEngine(FSDPEngineWithLMHead):
    """Without gradients, reports how choices differ; ``replays`` says whose the sparse layers use."""

    replays = False

    def prepare_model_inputs(self, micro_batch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        inputs, arguments = super().prepare_model_inputs(micro_batch)
        # Indices are one row a token of whole packed rows.
        if inputs["attention_mask"] is not None or self.use_ulysses_sp:
            raise ValueError("HySparse: set use_remove_padding=True and ulysses_sequence_parallel_size=1")
        config = self.model_config.hf_config
        carried = for_model(micro_batch[CARRIED], config.num_key_value_heads, arguments["pad_size"])
        if self.replays and not tu.get_non_tensor_data(data=micro_batch, key=OWN_CHOICE, default=False):
            inputs["block_indices"] = carried
        if not torch.is_grad_enabled():
            inputs["output_blocks"], arguments["carried"] = True, carried
        return inputs, arguments

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: Any, logits_processor_func: Any
    ) -> dict[str, Any]:
        found: dict[str, Any] = super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        carried, lengths = output_args.get("carried"), micro_batch["input_ids"].offsets()
        if carried is not None:
            found["differing_used"] = differing(output.used_blocks, carried, lengths)
            found["differing_chosen"] = differing(output.chosen_blocks, carried, lengths)
        return found


@EngineRegistry.register(
    model_type="language_model", backend=["fsdp", "fsdp2"], device=["cuda", "npu"], vendor=COMPARING
)
class ComparingEngine(BlockEngine):
    """The sparse layers use the trainer's own choices."""


@EngineRegistry.register(
    model_type="language_model", backend=["fsdp", "fsdp2"], device=["cuda", "npu"], vendor=REPLAYING
)
class ReplayingEngine(BlockEngine):
    """The sparse layers use the rollout's choices, in updates as in log-probabilities."""

    replays = True
