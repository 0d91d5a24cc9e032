"""A checkpoint is sealed only with finite weights, and a checkpoint without prunes nothing."""

import pytest
import torch

from judgerlvr.engine.in_training.checkpoint_hook import SealCheckpoint
from judgerlvr.engine.in_training.guards import GuardTripped
from judgerlvr.export.shards import rank_file
from judgerlvr.runs.checkpoints import SEAL, complete


class Trainer:
    keep_checkpoints = 1

    def progress(self):
        return {"step": 1}


def saved(folder, step, value):
    checkpoint = folder / f"global_step_{step}"
    (checkpoint / "actor").mkdir(parents=True)
    weights = {"a": torch.zeros(3), "b": torch.tensor([0.0, value])}
    torch.save(weights, rank_file(checkpoint / "actor", "model", 1, 0))
    return checkpoint


def seal(checkpoint, step):
    SealCheckpoint.on_save(object.__new__(SealCheckpoint), Trainer(), step, str(checkpoint))


def test_a_finite_checkpoint_is_sealed_and_older_ones_are_pruned(tmp_path):
    for step in (1, 2):
        seal(saved(tmp_path, step, 0.5), step)
    assert [path.name for path in complete(tmp_path)] == ["global_step_2"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_checkpoint_that_is_not_finite_is_never_sealed(tmp_path, value):
    seal(saved(tmp_path, 1, 0.5), 1)
    broken = saved(tmp_path, 2, value)
    with pytest.raises(GuardTripped, match="weight b is not finite at step 2"):
        seal(broken, 2)
    assert not (broken / SEAL).exists()
    assert [path.name for path in complete(tmp_path)] == ["global_step_1"]
