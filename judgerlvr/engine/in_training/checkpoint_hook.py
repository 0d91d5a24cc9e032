"""verl's on-save hook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

from judgerlvr.runs.checkpoints import SEAL, prune
from judgerlvr.runs.files import write_atomically


class SealCheckpoint(CheckpointCallback):
    """Adds the trainer's own state and seals the checkpoint."""

    def on_save(self, trainer: Any, global_step: int, checkpoint_dir: str, async_save: bool = False, **_: Any) -> None:
        checkpoint = Path(checkpoint_dir)
        write_atomically(checkpoint / SEAL, json.dumps(trainer.progress()))
        prune(checkpoint.parent, trainer.keep_checkpoints)
