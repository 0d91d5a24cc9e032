"""verl's own checkpoint manager saves by two ranks and loads by one, and the other way round."""

import shutil

import pytest
import torch

from benchmarks.stages.round_trip import compare
from judgerlvr.export.shards import Shards, load_ranks, rank_file
from tests.helpers.fsdp_ranks import run_ranks, sharded, train, write_base

CONTENTS = ["model", "optimizer", "extra"]


def manage(rank, world, base, source, target):
    """As a worker of verl does, with the module that a run names in ``external_lib``."""
    from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager

    import judgerlvr.engine.private.resharding  # noqa: F401

    model, optimizer, scheduler = sharded(base, world)
    contents = {"save_contents": CONTENTS, "load_contents": CONTENTS}
    manager = FSDPCheckpointManager(model, optimizer, scheduler, checkpoint_config=contents)
    if source is None:
        train(model, optimizer, scheduler)
    else:
        manager.load_checkpoint(str(source))
    manager.save_checkpoint(str(target))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verl")
    base = write_base(folder / "base", "qwen3")
    run_ranks(2, manage, base, None, folder / "2")
    run_ranks(1, manage, base, folder / "2", folder / "2-1")
    run_ranks(2, manage, base, folder / "2-1", folder / "2-1-2")
    return folder


def test_weights_come_back_bit_by_bit(folders):
    first, last = Shards(folders / "2"), Shards(folders / "2-1-2")
    for name in first.names:
        assert torch.equal(first.whole(name, torch.float32), last.whole(name, torch.float32))


def test_adams_state_and_the_schedule_come_back(folders):
    for one, other in zip(load_ranks(folders / "2", "optim"), load_ranks(folders / "2-1-2", "optim"), strict=True):
        assert one["param_groups"] == other["param_groups"]
        for number, state in one["state"].items():
            assert torch.equal(state["step"], other["state"][number]["step"])
            for key in ("exp_avg", "exp_avg_sq"):
                assert torch.equal(state[key].to_local(), other["state"][number][key].to_local())
    schedules = [load_ranks(folders / name, "extra_state")[0]["lr_scheduler"] for name in ("2", "2-1-2")]
    assert schedules[0] == schedules[1]


def test_one_rank_wrote_files_of_one_rank(folders):
    assert len(load_ranks(folders / "2-1", "model")) == 1


def test_the_benchmark_finds_no_difference(folders):
    assert compare(folders / "2", folders / "2-1-2")["differ"] == []


def test_the_benchmark_finds_one_changed_bit(folders, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(folders / "2", changed)
    file = rank_file(changed, "optim", 2, 1)
    state = torch.load(file, weights_only=False)
    state["state"][0]["exp_avg"].to_local().view(torch.int32)[0, 0] ^= 1
    torch.save(state, file)
    assert compare(folders / "2", changed)["differ"] == ["optim 1 /state/0/exp_avg"]
