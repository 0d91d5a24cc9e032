"""FSDP2, activation checkpointing and torch.compile give the gradients of the plain model."""

import os
from dataclasses import replace

import pytest
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from judgerlvr.hysparse.model import attention
from judgerlvr.hysparse.ops.segments import whole
from tests.helpers.fsdp_ranks import fork
from tests.helpers.hysparse_models import NAMES, assert_selection_bites, make_model, random_ids
from tests.helpers.ports import free_port

RANKS, LENGTH = 2, 60
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def loss_of(model, ids, **arguments):
    return model(ids, labels=ids, use_cache=False, **arguments).loss


def given_experts(rows):
    """[MoE layers, rows, tokens, top_k] that no router chose."""
    first = torch.arange(7)[:, None, None] + torch.arange(LENGTH)
    return torch.stack([first % 4, (first + 1) % 4], dim=-1).expand(-1, rows, -1, -1)


def plain_gradients(name, replay=False, **changes):
    model = make_model(name, **changes).train()
    assert_selection_bites(model, whole(RANKS, LENGTH))
    arguments = {"expert_indices": given_experts(RANKS)} if replay else {}
    loss_of(model, random_ids(RANKS, LENGTH), **arguments).backward()
    return {key: parameter.grad for key, parameter in model.named_parameters()}


def run_rank(rank, port, folder):
    """What one of the ranks does. Models one after the other, since most of the time goes to starting processes."""
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=RANKS)
    gradients = {name: sharded_gradients(rank, name) for name in NAMES}
    gradients["replayed"] = sharded_gradients(rank, "tiny-moe", replay=True)
    if rank == 0:
        torch.save(gradients, folder / "gradients.pt")
    seen = recorded_key_types()
    sharded_gradients(rank, NAMES[0], torch.bfloat16)
    if rank == 0:
        torch.save(seen, folder / "types.pt")
    distributed.barrier()
    # Meshes keep the process group alive, and a thread of its gloo backend that still waits for the GIL while the
    # interpreter shuts down aborts the process ("terminate called without an active exception").
    os._exit(0)


def recorded_key_types():
    """Types of queries and shared keys as sparse layers attend from now on, in this process."""
    seen, plain = set(), attention.operations("cpu")

    def recording(q, k, *rest):
        seen.add((q.dtype, k.dtype))
        return plain.sparse_attention(q, k, *rest)

    changed = replace(plain, sparse_attention=recording)
    attention.operations = lambda device_type: changed
    return seen


def sharded_gradients(rank, name, dtype=torch.float32, replay=False):
    """Gradients of one rank's row of the batch, averaged over ranks. Each decoder layer is a shard unit."""
    model = make_model(name).train()
    model.gradient_checkpointing_enable()
    mesh = init_device_mesh("cpu", (RANKS,))
    # With a policy, as trainers set one, FSDP2 rebuilds every dataclass among a layer's arguments.
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    arguments = {"expert_indices": given_experts(1)} if replay else {}
    loss_of(model, random_ids(RANKS, LENGTH)[rank : rank + 1], **arguments).backward()
    return {key: parameter.grad.full_tensor() for key, parameter in model.named_parameters()}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Folder of what rank 0 saw."""
    folder = tmp_path_factory.mktemp("ranks")
    fork(run_rank, (free_port(), folder), RANKS)
    return folder


def test_fsdp2_with_checkpointing_on_two_ranks(ranks):
    expected = {name: plain_gradients(name) for name in NAMES} | {"replayed": plain_gradients("tiny-moe", replay=True)}
    torch.testing.assert_close(torch.load(ranks / "gradients.pt"), expected, **CLOSE)


def test_fsdp2_leaves_shared_keys_in_float32(ranks):
    """It casts what a layer is given, but not where the layer is run again: kernels would then save another type."""
    assert torch.load(ranks / "types.pt") == {(torch.bfloat16, torch.float32)}


def test_reentrant_checkpointing_is_refused():
    with pytest.raises(ValueError, match="use_reentrant=False"):
        make_model().gradient_checkpointing_enable({"use_reentrant": True})


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_model(backend):
    shallow = {"num_hidden_layers": 4}
    expected = plain_gradients("tiny", **shallow)
    torch.compiler.reset()
    model = make_model("tiny", **shallow).train()
    compiled = torch.compile(model, backend=backend)
    loss_of(compiled, random_ids(RANKS, LENGTH)).backward()
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    torch.testing.assert_close(gradients, expected, **CLOSE)
