"""A checkpoint goes from 2 ranks to 1 and back, or to 3, without the change of a bit, and training goes on."""

from pathlib import Path

import numpy
import pytest
import torch

from judgerlvr.export.errors import ExportMismatch
from judgerlvr.export.reshard import Trained, load_resharded
from judgerlvr.export.shards import Shards, load_ranks, pieces
from tests.helpers.fsdp_ranks import run_ranks, save, sharded, train, train_and_save, write_base


def resave(rank, world, base, source, target, further_steps=0):
    """Load what other ranks saved, train on, save."""
    parts = sharded(base, world)
    state = load_resharded(source, Trained(*parts), rank)
    torch.set_rng_state(state["cpu"])
    numpy.random.set_state(state["numpy"])
    train(*parts, steps=further_steps)
    save(target, rank, world, *parts)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folder of shards by the ranks that it went through, each trained by two ranks first."""
    folder = tmp_path_factory.mktemp("reshard")
    base = write_base(folder / "base")
    run_ranks(2, train_and_save, base, folder / "2")
    run_ranks(1, resave, base, folder / "2", folder / "2-1")
    run_ranks(2, resave, base, folder / "2-1", folder / "2-1-2")
    run_ranks(3, resave, base, folder / "2", folder / "2-3")
    run_ranks(2, resave, base, folder / "2-3", folder / "2-3-2-trained", 2)
    run_ranks(2, resave, base, folder / "2", folder / "2-trained", 2)
    return folder


def everything(folder: Path):
    """{name: whole tensor} of weights and Adam's state, and the other values of optimiser and schedule."""
    shards, optimizers, extras = Shards(folder), load_ranks(folder, "optim"), load_ranks(folder, "extra_state")
    found = {name: shards.whole(name, torch.float32) for name in shards.names}
    for number, state in optimizers[0]["state"].items():
        for key in state:
            parts = pieces([optimizer["state"][number][key] for optimizer in optimizers])
            found[f"{number}.{key}"] = torch.cat([part.local for part in parts]) if len(parts) > 1 else parts[0].local
    return found, optimizers[0]["param_groups"], extras[0]["lr_scheduler"]


@pytest.mark.parametrize(("one", "other"), [("2", "2-1"), ("2", "2-1-2"), ("2", "2-3"), ("2-trained", "2-3-2-trained")])
def test_no_bit_changes(folders, one, other):
    (tensors, *rest), (others, *others_rest) = everything(folders / one), everything(folders / other)
    assert rest == others_rest
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []


def test_training_went_on(folders):
    before, after = everything(folders / "2")[0], everything(folders / "2-trained")[0]
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert {int(after[name]) for name in after if name.endswith("step")} == {4}


def test_two_ranks_files_are_as_they_were(folders):
    """Each rank's own part, not only the whole."""
    for kind in ("model", "optim"):
        for one, other in zip(load_ranks(folders / "2", kind), load_ranks(folders / "2-1-2", kind), strict=True):
            torch.testing.assert_close(_local(one), _local(other), rtol=0, atol=0)


def _local(state):
    if isinstance(state, dict):
        return {key: _local(value) for key, value in state.items() if key != "param_groups"}
    return state._local_tensor if hasattr(state, "_local_tensor") else state


def test_each_rank_continues_its_own_random_numbers(folders):
    first = load_ranks(folders / "2", "extra_state")
    three = load_ranks(folders / "2-3", "extra_state")
    for rank in range(3):
        assert torch.equal(three[rank]["rng"]["cpu"], first[rank % 2]["rng"]["cpu"])


def test_a_missing_rank_is_refused(folders, tmp_path):
    with pytest.raises(ExportMismatch, match="shards of 0"):
        load_ranks(tmp_path, "optim")
