"""Exporting and proving need no more memory than twice the largest tensor, however large the policy is."""

import json
import threading
from pathlib import Path

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from transformers import AutoModelForCausalLM

from judgerlvr.export.policy import export_policy
from judgerlvr.models.tensors import empty_model
from tests.helpers.fsdp_ranks import fork, run_ranks, write_base


def private():
    """Bytes of private memory. The kernel may drop pages of mapped files."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("RssAnon:")[1].split()[0])


def measure(_, checkpoint, base, out):
    """Write the peak of private memory during an export, in bytes above what the process used before."""
    torch.set_num_threads(1)
    empty_model(base)
    torch.empty(8).bfloat16()
    before, seen, done = private(), [], threading.Event()

    def watch():
        while not done.wait(0.0005):
            seen.append(private())

    watcher = threading.Thread(target=watch)
    watcher.start()
    export_policy(checkpoint)
    done.set()
    watcher.join()
    out.write_text(str(max(seen) - before))


def save_shards(rank, world, base, folder):
    mesh = init_device_mesh("cpu", (world,))
    state = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).state_dict()
    spread = {name: distribute_tensor(tensor, mesh, [Shard(0)]) for name, tensor in state.items()}
    torch.save(spread, folder / f"model_world_size_{world}_rank_{rank}.pt")


def checkpoint_of(folder, inner, layers, dtype):
    """A checkpoint of two ranks. The largest tensor is a layer's ``gate_up_proj``."""
    changes = {"num_experts": 8, "hidden_size": 256, "moe_intermediate_size": inner, "num_hidden_layers": layers}
    base = write_base(folder / "base", **changes)
    checkpoint = folder / "run" / "checkpoints" / "global_step_1"
    (checkpoint / "actor").mkdir(parents=True)
    run_ranks(2, save_shards, base, checkpoint / "actor")
    verl = {"model": {"path": str(base), "trust_remote_code": False}, "rollout": {"dtype": dtype}}
    (folder / "run" / "verl.yaml").write_text(json.dumps({"actor_rollout_ref": verl}))
    return checkpoint, base, 4 * 8 * 2 * inner * 256


@pytest.mark.parametrize(
    ("inner", "layers", "dtype"), [(1024, 2, "float32"), (2048, 4, "float32"), (2048, 4, "bfloat16")]
)
def test_peak_memory_is_at_most_twice_the_largest_tensor(tmp_path, inner, layers, dtype):
    checkpoint, base, largest = checkpoint_of(tmp_path, inner, layers, dtype)
    out = tmp_path / "peak"
    fork(measure, (checkpoint, base, out), 1)
    peak = int(out.read_text())
    print(inner, dtype, peak / largest)
    # 6 MiB for the interpreter and the chunks of the comparison.
    assert peak <= 2 * largest + 6 * 2**20
