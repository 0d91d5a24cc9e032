"""A rollout's choices on their way from an engine's request to a training sample, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from judgerlvr.hysparse.config import HySparseConfig

KEY = "block_indices"
# A request asks for its choices with this entry of vLLM's ``SamplingParams.extra_args``.
REQUEST = {"kv_transfer_params": {KEY: True}}
# vLLM's ``kv_transfer_config``. A producer computes preempted requests again and never delivers a part.
TRANSFER = {
    "kv_connector": "BlockIndexConnector",
    "kv_connector_module_path": "judgerlvr.hysparse.vllm.connector",
    "kv_role": "kv_producer",
}


# A choice is carried as an int16.
CHOICE_BYTES = np.dtype(np.int16).itemsize


@dataclass(frozen=True)
class Choices:
    """Choices of one sequence. ``blocks`` [selecting layers, tokens, kv_heads, count] are ascending and padded with -1.
    ``experts`` [MoE layers, tokens, top_k] are in the router's order, and None for a dense model.
    """

    blocks: Tensor
    experts: Tensor | None = None


def row_values(config: HySparseConfig) -> int:
    """Choices of one token: blocks of all selecting layers and KV heads, and experts of all MoE layers."""
    blocks = len(config.selecting_layers) * config.num_key_value_heads * config.selection.count
    return blocks + len(config.expert_layers) * config.num_experts_per_tok


def to_parameters(blocks: NDArray[np.int16], experts: NDArray[np.int16] | None = None) -> dict[str, Any]:
    """``blocks`` [tokens, layers, kv_heads, count] and ``experts`` [tokens, MoE layers, top_k] in the form that a
    request's output carries: one row a token.
    """
    parts = [part.reshape(len(blocks), -1) for part in (blocks, experts) if part is not None]
    rows = np.concatenate(parts, axis=1)
    return {KEY: rows.tobytes(), "shape": list(rows.shape)}


def from_parameters(parameters: dict[str, Any] | None, tokens: int) -> NDArray[np.int16]:
    """int16 [tokens, 1, values of a row] for prompt and response. verl wants a dimension of layers.

    The last token was sampled and never computed. Its row repeats the row before, whose blocks the token sees too.
    Nothing is trained on tokens after the last. Raises ValueError unless every other token has a row.
    """
    if not parameters or KEY not in parameters:
        raise ValueError("the rollout engine returned no block indices: its KV connector is missing")
    found = np.frombuffer(parameters[KEY], dtype=np.int16).reshape(parameters["shape"])
    if len(found) != tokens - 1:
        raise ValueError(f"the rollout engine returned block indices of {len(found)} tokens, not {tokens - 1}")
    return np.concatenate([found, found[-1:]])[:, None]


def split_choices(rows: Tensor, config: HySparseConfig) -> Choices:
    """The choices in ``rows`` [tokens, 1, values], which ``from_parameters`` makes."""
    shape = (len(config.selecting_layers), config.num_key_value_heads, config.selection.count)
    routed = len(config.expert_layers)
    blocks, experts = rows[:, 0].split([shape[0] * shape[1] * shape[2], routed * config.num_experts_per_tok], dim=1)
    by_layer = blocks.unflatten(1, shape).transpose(0, 1)
    return Choices(by_layer, experts.unflatten(1, (routed, -1)).transpose(0, 1) if routed else None)
