"""Sealed checkpoints: found, pruned, and never mixed up with half-written ones."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers.dynamic_module_utils import custom_object_save

from judgerlvr.runs.checkpoints import SEAL, complete, match_dtype, prune, remove_wrapper_code
from judgerlvr.runs.files import write_atomically


def make(folder, step, sealed=True):
    path = folder / f"global_step_{step}"
    path.mkdir()
    if sealed:
        (path / SEAL).write_text("{}")
    return path


def test_half_written_checkpoint_is_never_found(tmp_path):
    make(tmp_path, 10)
    make(tmp_path, 20, sealed=False)
    assert [path.name for path in complete(tmp_path)] == ["global_step_10"]


def test_order_is_by_number_not_by_name(tmp_path):
    for step in (100, 20, 3):
        make(tmp_path, step)
    assert [path.name for path in complete(tmp_path)] == ["global_step_3", "global_step_20", "global_step_100"]


def test_prune_keeps_the_newest_and_leaves_unsealed_alone(tmp_path):
    for step in (1, 2, 3):
        make(tmp_path, step)
    unsealed = make(tmp_path, 4, sealed=False)
    prune(tmp_path, 2)
    assert [path.name for path in complete(tmp_path)] == ["global_step_2", "global_step_3"]
    assert unsealed.exists()


def test_keep_zero_keeps_all(tmp_path):
    for step in (1, 2, 3):
        make(tmp_path, step)
    prune(tmp_path, 0)
    assert len(complete(tmp_path)) == 3


def test_config_names_the_dtype_of_the_tensors(tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"torch_dtype": "bfloat16", "hidden_size": 2}))
    match_dtype(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {"hidden_size": 2, "dtype": "float32"}


def test_atomic_write_leaves_nothing_beside_the_file(tmp_path):
    write_atomically(tmp_path / "a.json", "1")
    write_atomically(tmp_path / "a.json", "2")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "2"


@pytest.fixture
def sharded():
    """A module that FSDP2 has wrapped, in a process group of one."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield fully_shard(torch.nn.Linear(2, 2), mesh=init_device_mesh("cpu", (1,)))
    distributed.destroy_process_group()


def test_torchs_own_code_is_removed_from_an_export(tmp_path, sharded):
    """transformers' function as verl calls it."""
    (tmp_path / "modeling_mine.py").write_text("x = 1")
    custom_object_save(sharded, tmp_path)
    assert (tmp_path / "_fsdp_api.py").exists()
    remove_wrapper_code(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["modeling_mine.py"]


def test_a_policys_own_code_of_the_same_name_stays(tmp_path):
    (tmp_path / "_fsdp_api.py").write_text("x = 1")
    remove_wrapper_code(tmp_path)
    assert (tmp_path / "_fsdp_api.py").exists()
