"""verl's on-save hook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

from judgerlvr.engine.in_training.guards import GuardTripped
from judgerlvr.export.finite import first_not_finite
from judgerlvr.runs.checkpoints import SEAL, prune
from judgerlvr.runs.files import write_atomically


class SealCheckpoint(CheckpointCallback):
    """Adds the trainer's own state and seals the checkpoint, if the weights are finite."""

    def on_save(self, trainer: Any, global_step: int, checkpoint_dir: str, async_save: bool = False, **_: Any) -> None:
        """Seal, then prune.

        Raises:
            GuardTripped: a weight is not finite. No seal is written, and no earlier checkpoint is pruned.
        """
        checkpoint = Path(checkpoint_dir)
        if name := first_not_finite(checkpoint / "actor"):
            remedy = "resume from the checkpoint before with a lower learning rate"
            raise GuardTripped(f"guard finite: weight {name} is not finite at step {global_step}; {remedy}")
        write_atomically(checkpoint / SEAL, json.dumps(trainer.progress()))
        # Only after the seal, so that a crash before leaves the earlier checkpoints.
        prune(checkpoint.parent, trainer.keep_checkpoints)
