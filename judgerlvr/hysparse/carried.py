"""Block indices on their way from an engine's request to a training sample, as plain values in between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

KEY = "block_indices"
# What a request says to get its indices back, in vLLM's ``SamplingParams.extra_args``.
REQUEST = {"kv_transfer_params": {KEY: True}}
# vLLM's ``kv_transfer_config``. A producer's preempted requests are computed again, never delivered in part.
TRANSFER = {
    "kv_connector": "BlockIndexConnector",
    "kv_connector_module_path": "judgerlvr.hysparse.vllm.connector",
    "kv_role": "kv_producer",
}


def to_parameters(indices: NDArray[np.int16]) -> dict[str, Any]:
    """``indices`` [tokens, layers, kv_heads, count] as a request's output carries them."""
    return {KEY: indices.tobytes(), "shape": list(indices.shape)}


def from_parameters(parameters: dict[str, Any] | None, tokens: int) -> NDArray[np.int16]:
    """int16 [tokens, layers, kv_heads * count] for prompt and response, ascending, padded with -1.

    The last token was sampled and never computed: its row repeats the one before, whose blocks it sees too. Nothing
    is trained on what follows it. Raises ValueError unless there is one row for every other token.
    """
    if not parameters or KEY not in parameters:
        raise ValueError("the rollout engine returned no block indices: its KV connector is missing")
    found = np.frombuffer(parameters[KEY], dtype=np.int16).reshape(parameters["shape"])
    if len(found) != tokens - 1:
        raise ValueError(f"the rollout engine returned block indices of {len(found)} tokens, not {tokens - 1}")
    rows = np.concatenate([found, found[-1:]])
    return rows.reshape(*rows.shape[:2], -1)
