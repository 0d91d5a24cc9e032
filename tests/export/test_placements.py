"""Every way in which FSDP2 lays a tensor over ranks is read: rows, other dimensions, copies, ranks without any."""

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

from judgerlvr.export.errors import ExportMismatch
from judgerlvr.export.layout import Box, held_by
from judgerlvr.export.shards import Shards, local_tensor, pieces
from tests.helpers.fsdp_ranks import run_ranks

WHOLE = {"rows": (9, 4), "columns": (4, 9), "few": (1, 3), "copies": (5, 2), "plain": (3, 3), "scalar": ()}


def tensor(name):
    torch.manual_seed(len(name))
    return torch.randn(WHOLE[name])


def save_tensors(rank, world, folder):
    """On a mesh of two copies of two shards."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("ddp", "fsdp"))
    spread = {
        "rows": (Replicate(), Shard(0)),
        "columns": (Replicate(), Shard(1)),
        "few": (Replicate(), Shard(0)),
        "copies": (Replicate(), Replicate()),
    }
    state = {name: distribute_tensor(tensor(name), mesh, places) for name, places in spread.items()}
    state |= {name: tensor(name) for name in ("plain", "scalar")}
    torch.save(state, folder / f"model_world_size_{world}_rank_{rank}.pt")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mesh")
    run_ranks(4, save_tensors, folder)
    return Shards(folder)


@pytest.mark.parametrize("name", WHOLE)
def test_joined_tensor_is_the_one_that_was_spread(shards, name):
    assert torch.equal(shards.whole(name, torch.float32), tensor(name))


@pytest.mark.parametrize("name", WHOLE)
def test_the_proof_expects_what_torch_gave_to_each_rank(shards, name):
    seen = torch.zeros(WHOLE[name])
    for rank, value in enumerate(shards.values(name)):
        box, is_copy = held_by(value, rank)
        where = tuple(box.within(Box((0,) * len(box.low), WHOLE[name])))
        assert torch.equal(tensor(name)[where], local_tensor(value))
        seen[where] += not is_copy
    assert torch.equal(seen, torch.ones(WHOLE[name]))


def test_a_rank_may_hold_nothing(shards):
    assert [len(part.local) for part in pieces(shards.values("few"))] == [1, 0]


def test_shards_of_two_numbers_of_ranks_are_refused(tmp_path):
    for world in (1, 2):
        torch.save({}, tmp_path / f"model_world_size_{world}_rank_0.pt")
    with pytest.raises(ExportMismatch, match="shards of 2 numbers of ranks"):
        Shards(tmp_path)


def test_no_shards_are_refused(tmp_path):
    with pytest.raises(ExportMismatch, match="shards of 0"):
        Shards(tmp_path)
