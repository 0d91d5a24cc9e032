"""A rollout's experts as verl carries a sample: one int16 row a token, two ids a value where ids fit a byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from judgerlvr.engine.rollout_experts.sizes import BYTE

# A request says so to get its experts back from our connector.
KEY = "chosen_experts"
REQUEST = {"kv_transfer_params": {KEY: True}}
TRANSFER = {
    "kv_connector": "ExpertConnector",
    "kv_connector_module_path": "judgerlvr.engine.rollout_experts.connector",
    "kv_role": "kv_producer",
}


def to_parameters(chosen: NDArray[Any]) -> dict[str, Any]:
    """``chosen`` [tokens, layers, top_k] as a request's output carries it."""
    return {KEY: chosen.astype(np.int16).tobytes(), "shape": list(chosen.shape)}


def from_parameters(parameters: dict[str, Any] | None) -> NDArray[np.int16]:
    """Inverse of ``to_parameters``. Raises ValueError where the engine returned nothing."""
    if not parameters or KEY not in parameters:
        raise ValueError("the rollout engine returned no experts: its KV connector is missing")
    return np.frombuffer(parameters[KEY], dtype=np.int16).reshape(parameters["shape"])


def packed(chosen: NDArray[Any] | None, tokens: int, experts: int) -> NDArray[np.int16]:
    """int16 [tokens, 1, values] of ``chosen`` [tokens - 1, layers, top_k], ids below ``experts``.

    No forward pass has seen the last token, so the last row repeats the row before. The loss does not use the last row.
    Raises ValueError unless there is one row for every other token.
    """
    if chosen is None or len(chosen) != tokens - 1:
        found = "none" if chosen is None else f"those of {len(chosen)} tokens"
        raise ValueError(f"the rollout engine must return the experts of {tokens - 1} tokens, not {found}")
    rows = np.concatenate([chosen, chosen[-1:]]).reshape(tokens, -1)
    if experts > BYTE:
        return rows.astype(np.int16)[:, None]
    narrow = np.pad(rows.astype(np.uint8), ((0, 0), (0, rows.shape[1] % 2)))
    return np.ascontiguousarray(narrow).view(np.int16)[:, None]


def unpacked(rows: Tensor, layers: int, top_k: int, experts: int) -> Tensor:
    """Inverse of ``packed`` for a packed row of samples: int64 [layers, tokens, top_k]."""
    flat = rows[:, 0].contiguous()
    ids = flat.view(torch.uint8) if experts <= BYTE else flat
    return ids[:, : layers * top_k].unflatten(1, (layers, top_k)).transpose(0, 1).long()
