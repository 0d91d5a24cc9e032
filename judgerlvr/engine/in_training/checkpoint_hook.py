"""verl's on-save hook, and the seal that a checkpoint gets once the step's row is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

from judgerlvr.engine.in_training.guards import BEGIN_LOWER, GuardTripped
from judgerlvr.export.finite import first_not_finite
from judgerlvr.runs.checkpoints import SEAL, prune
from judgerlvr.runs.files import write_atomically


def always(_checkpoint: Path) -> bool:
    return True


class CheckSaved(CheckpointCallback):
    """Leaves a checkpoint with finite weights to the trainer, which seals the checkpoint at the end of the step.

    verl saves before the rollout engine has the new weights, before validation and before the step's row.
    """

    def on_save(self, trainer: Any, global_step: int, checkpoint_dir: str, async_save: bool = False, **_: Any) -> None:
        """Set the trainer's ``saved``.

        Raises:
            GuardTripped: a weight is not finite. No seal will be written, and no earlier checkpoint is pruned.
        """
        checkpoint = Path(checkpoint_dir)
        if name := first_not_finite(checkpoint / "actor"):
            raise GuardTripped(f"guard finite: weight {name} is not finite at step {global_step}; {BEGIN_LOWER}")
        trainer.saved = checkpoint


def seal(checkpoint: Path, progress: Mapping[str, Any], keep: int, copied: Callable[[Path], bool] = always) -> None:
    """Seal a checkpoint with the trainer's own state, then remove all but the newest ``keep`` sealed ones.

    Nothing is removed where ``copied`` says that the checkpoint has no copy elsewhere.
    """
    write_atomically(checkpoint / SEAL, json.dumps(progress))
    # Only after the seal, so that a crash before leaves the earlier checkpoints.
    if copied(checkpoint):
        prune(checkpoint.parent, keep)
