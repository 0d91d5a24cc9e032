"""The experts that a layer's router chose in the newest step, kept for ``connector``."""

from __future__ import annotations

import torch
from torch import Tensor


class ExpertCapture:
    """The router calls this object with expert ids. ``chosen`` int32 [tokens of a step, top_k] holds the ids for one
    step.

    The ids are copied on the device into memory that stays in place, so that CUDA graphs capture the copy. Until a
    router calls, ``chosen`` holds -1, which a store takes for missing.
    """

    def __init__(self, max_tokens: int, top_k: int) -> None:
        self.chosen = torch.full((max_tokens, top_k), -1, dtype=torch.int32)

    def __call__(self, expert_ids: Tensor) -> None:
        self.chosen[: expert_ids.shape[0]].copy_(expert_ids)
