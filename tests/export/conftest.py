"""Checkpoints in verl's layout, saved by ranks that trained."""

import shutil

import pytest
import torch

from judgerlvr.export.policy import export_policy
from tests.helpers.fsdp_ranks import make_checkpoint, write_base


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A mixture of experts that three ranks trained: (base, run folder)."""
    folder = tmp_path_factory.mktemp("trained")
    base = write_base(folder / "base")
    make_checkpoint(folder / "run", base, world=3)
    return base, folder / "run"


@pytest.fixture
def checkpoint(trained, tmp_path):
    """A copy that a test may damage."""
    shutil.copytree(trained[1], tmp_path / "run")
    return tmp_path / "run" / "checkpoints" / "global_step_2"


@pytest.fixture
def exported(checkpoint):
    return export_policy(checkpoint)


@pytest.fixture(scope="session")
def joined(trained):
    """The trained tensors, joined by hand: {name: float32 tensor}."""
    files = [trained[1] / f"checkpoints/global_step_2/actor/model_world_size_3_rank_{rank}.pt" for rank in range(3)]
    states = [torch.load(file, weights_only=False) for file in files]
    return {name: torch.cat([state[name]._local_tensor for state in states]) for name in states[0]}
