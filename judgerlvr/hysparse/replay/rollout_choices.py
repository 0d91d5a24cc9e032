"""A rollout's choices on their way from an engine's request to a training sample, as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.ops.selection import PADDING
from judgerlvr.hysparse.replay.carried_sizes import HEADER, PART, CarriedSizes

KEY = "block_indices"
# A request asks for its choices with this entry of vLLM's ``SamplingParams.extra_args``.
REQUEST = {"kv_transfer_params": {KEY: True}}
# vLLM's ``kv_transfer_config``. A producer computes preempted requests again and never delivers a part.
TRANSFER = {
    "kv_connector": "BlockIndexConnector",
    "kv_connector_module_path": "judgerlvr.hysparse.vllm.connector",
    "kv_role": "kv_producer",
}


@dataclass(frozen=True)
class Choices:
    """Choices of one sequence. ``blocks`` [selecting layers, tokens, kv_heads, count] are ascending and padded with -1.
    ``experts`` [MoE layers, tokens, top_k] are in the router's order, and None for a dense model.
    """

    blocks: Tensor
    experts: Tensor | None = None


def carried_sizes(config: HySparseConfig) -> CarriedSizes:
    """Sizes of what samples of this model carry."""
    return CarriedSizes(
        blocks=len(config.selecting_layers) * config.num_key_value_heads * config.selection.count,
        experts=len(config.expert_layers) * config.num_experts_per_tok,
        uncrowded=config.selection.block * config.selection.count,
    )


class CarriedChoices:
    """Choices of a sequence of ``computed`` rows that are filled in place, because long sequences carry many bytes.

    ``crowded`` [crowded rows, layers, kv_heads, count] and ``experts`` [computed, MoE layers, top_k] are parts of one
    array. The shapes are of these parts.
    """

    def __init__(self, computed: int, crowded: tuple[int, ...], experts: tuple[int, ...] = (0,)) -> None:
        self.computed = computed
        routed = HEADER + math.prod(experts)
        self._all = np.empty(routed + math.prod(crowded), dtype=np.int16)
        self._all[:HEADER] = divmod(computed, PART)[::-1]
        self.experts, self.crowded = self._all[HEADER:routed].reshape(experts), self._all[routed:].reshape(crowded)

    def parameters(self) -> dict[str, Any]:
        """The form that a request's output carries."""
        return {KEY: self._all.tobytes(), "rows": self.computed}


def to_parameters(
    crowded: NDArray[np.int16], computed: int, experts: NDArray[np.int16] | None = None
) -> dict[str, Any]:
    """The ``parameters`` of ``CarriedChoices`` with these parts."""
    values = CarriedChoices(computed, crowded.shape, (0,) if experts is None else experts.shape)
    values.crowded[...] = crowded
    if experts is not None:
        values.experts[...] = experts
    return values.parameters()


def from_parameters(parameters: dict[str, Any] | None, tokens: int) -> NDArray[np.int16]:
    """Values of a sample of ``tokens`` tokens, int16 [values], as ``unpacked`` reads them.

    Raises ValueError unless the engine computed every token but the last, which was sampled.
    """
    if not parameters or KEY not in parameters:
        raise ValueError("the rollout engine returned no block indices: its KV connector is missing")
    if parameters["rows"] != tokens - 1:
        raise ValueError(f"the rollout engine returned block indices of {parameters['rows']} tokens, not {tokens - 1}")
    return np.frombuffer(parameters[KEY], dtype=np.int16)


def unpacked(values: Tensor, tokens: int, config: HySparseConfig) -> Choices:
    """Choices of all ``tokens`` rows of a sample, int16, from the ``values`` of ``from_parameters``.

    The last token's row repeats the row before, whose blocks the token sees too. Nothing is trained on tokens after the
    last. A sample of zeros fills up a batch, and has ``blank`` rows. Raises ValueError for values of another sample.
    """
    sizes = carried_sizes(config)
    low, high = values[:HEADER].tolist()
    computed = low + high * PART
    if computed == 0:
        return blank(tokens, config, values.device)
    if computed != tokens - 1 or len(values) != sizes.values(tokens):
        raise ValueError(f"choices of {computed} rows in {len(values)} values, for a sample of {tokens} tokens")
    experts, crowded = values[HEADER:].split([computed * sizes.experts, sizes.crowded(computed) * sizes.blocks])
    shape = (len(config.selecting_layers), config.num_key_value_heads, config.selection.count)
    blocks = torch.cat([every_block(min(computed, sizes.uncrowded), shape, config, values), crowded.view(-1, *shape)])
    routed = (len(config.expert_layers), config.num_experts_per_tok)
    return Choices(by_layer(blocks), by_layer(experts.view(computed, *routed)) if sizes.experts else None)


def every_block(rows: int, shape: tuple[int, int, int], config: HySparseConfig, like: Tensor) -> Tensor:
    """Choices of the first rows of a sequence, which take all blocks that they see, [rows, *shape]."""
    own = torch.arange(rows, device=like.device, dtype=like.dtype) // config.selection.block
    blocks = torch.arange(shape[-1], device=like.device, dtype=like.dtype)
    seen = torch.where(blocks <= own[:, None], blocks, PADDING)
    return seen[:, None, None].expand(rows, *shape)


def by_layer(rows: Tensor) -> Tensor:
    """[computed, layers, ...] to [layers, tokens, ...], where the last row stands twice."""
    return torch.cat([rows, rows[-1:]]).transpose(0, 1)


def without_last(choices: Choices) -> Choices:
    """The choices of all tokens but the last."""
    return Choices(choices.blocks[:, :-1], None if choices.experts is None else choices.experts[:, :-1])


def joined(parts: Sequence[Choices]) -> Choices:
    """Choices of several sequences as those of one packed row."""
    experts = [part.experts for part in parts if part.experts is not None]
    return Choices(torch.cat([part.blocks for part in parts], dim=1), torch.cat(experts, dim=1) if experts else None)


def blank(rows: int, config: HySparseConfig, device: torch.device) -> Choices:
    """Rows that no loss reads: block 0 and the first experts, int16."""
    shape = (len(config.selecting_layers), rows, config.num_key_value_heads, config.selection.count)
    blocks = torch.full(shape, PADDING, dtype=torch.int16, device=device)
    blocks[..., 0] = 0
    first = torch.arange(config.num_experts_per_tok, dtype=torch.int16, device=device)
    routed = len(config.expert_layers)
    return Choices(blocks, first.expand(routed, rows, -1) if routed else None)
