"""verl's checkpoints on another number of ranks.

verl looks for files of its own number of ranks only. Imported by verl in each worker (``model.external_lib``).
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager

from judgerlvr.export.reshard import Trained, load_resharded
from judgerlvr.export.shards import saved_ranks


def read_any_number_of_ranks() -> None:
    """Let verl's manager load what other ranks saved; files of its own number of ranks are loaded as before."""
    original: Any = FSDPCheckpointManager.load_checkpoint
    if getattr(original, "_judgerlvr", False):
        return

    @functools.wraps(original)
    def load(self: Any, local_path: str, *arguments: Any, **named: Any) -> None:
        if local_path is None or saved_ranks(Path(local_path)) == self.world_size:
            original(self, local_path, *arguments, **named)
            return
        trained = Trained(self.model, self.optimizer, self.lr_scheduler)
        self.load_rng_state(load_resharded(Path(local_path), trained, self.rank))
        torch.distributed.barrier()

    load._judgerlvr = True  # type: ignore[attr-defined]
    FSDPCheckpointManager.load_checkpoint = load


read_any_number_of_ranks()
