"""What verl, vLLM or Ray would stumble over after sampling is refused before it, and what works is not."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from judgerlvr.config.load import load_config
from judgerlvr.planning.constraints import STORAGE_UNITS, Node, check_constraints, needed_cpus
from judgerlvr.planning.load import load_of
from judgerlvr.planning.shapes import read_shape
from rewards.errors import InputError

SHAPE = read_shape(Path(__file__).parent / "shapes" / "qwen3-30b-a3b")
CONFIG = load_config("configs/qwen3_30b_a3b.yaml")


def load_with(**changes):
    return replace(load_of("generate", CONFIG), **changes)


def refused(load, device="gpu", shape=SHAPE, **facts):
    try:
        check_constraints(load, shape, device, **facts)
    except InputError as error:
        return str(error)
    return ""


def verl_refuses(load):
    """The two assertions of verl's worker and of its split into micro-batches, as they are written there."""
    mini_batch = load.prompts // load.updates * load.samples_per_prompt
    held = load.micro_batch_tokens * load.sequence_parallel
    return mini_batch % (load.ranks // load.sequence_parallel) != 0 or held < load.longest


@pytest.mark.parametrize(("ranks", "sharing"), [(1, 1), (2, 1), (3, 1), (8, 1), (16, 1), (2, 2), (8, 2), (16, 4)])
@pytest.mark.parametrize("samples", [2, 3, 8])
def test_batches_are_refused_exactly_where_verl_would_refuse(ranks, sharing, samples):
    for prompts, updates in product((4, 12, 20, 36), (1, 2, 4)):
        load = load_with(
            nodes=1,
            gpus_per_node=ranks,
            tensor_parallel=1,
            sequence_parallel=sharing,
            prompts=prompts,
            updates=updates,
            samples_per_prompt=samples,
        )
        assert bool(refused(load)) == verl_refuses(load), (prompts, updates)


def test_the_remedy_of_a_batch_is_one_that_works():
    load = load_with(prompts=36)
    message = refused(load)
    proposed = int(message.split("e.g. ")[1])
    assert not refused(replace(load, prompts=proposed))


@pytest.mark.parametrize("sharing", [1, 2, 4])
@pytest.mark.parametrize(("tokens", "fine"), [(20_476, False), (20_480, True)])
def test_a_micro_batch_holds_the_longest_sequence(tokens, fine, sharing):
    load = load_with(micro_batch_tokens=tokens // sharing, sequence_parallel=sharing)
    assert bool(refused(load)) != fine


@pytest.mark.parametrize(("size", "fine"), [(1, True), (2, True), (4, True), (8, True), (3, False), (16, False)])
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_sequence_parallel_against_heads_and_machines(size, fine, device):
    load = load_with(sequence_parallel=size, tensor_parallel=1)
    assert ("cluster.sequence_parallel" in refused(load, device)) != fine


@pytest.mark.parametrize(
    ("heads", "kv_heads", "fine"), [(6, 6, False), (8, 2, True), (8, 4, True), (8, 6, False), (4, 4, True)]
)
def test_four_ranks_share_heads_that_divide_or_are_copied(heads, kv_heads, fine):
    shape = replace(SHAPE, heads=heads, kv_heads=kv_heads)
    assert ("heads cannot be shared" in refused(load_with(sequence_parallel=4), shape=shape)) != fine


def test_layers_that_nobody_knows_do_not_share_tokens():
    assert "not every layer" in refused(load_with(sequence_parallel=2), shape=None)


@pytest.mark.parametrize(("size", "fine"), [(1, True), (2, True), (4, True), (8, True), (3, False), (16, True)])
def test_tensor_parallel_against_kv_heads_and_machines(size, fine):
    assert bool(refused(load_with(tensor_parallel=size))) != fine


@pytest.mark.parametrize(("size", "fine"), [(1, True), (2, False), (4, False)])
def test_a_rollout_engine_on_a_cpu_is_one_process(size, fine):
    assert bool(refused(load_with(tensor_parallel=size), "cpu")) != fine


@pytest.mark.parametrize(("rows", "fine"), [(127, False), (128, True)])
def test_prompts_against_rows(rows, fine):
    assert bool(refused(load_with(), rows=rows)) != fine


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([Node(34, 8)] * 2, ""),
        ([Node(29, 8)] * 2, ""),
        ([Node(28, 8)] * 2, "reserve 58 CPUs, Ray offers 56"),
        ([Node(20, 8), Node(64, 8)], "reserve 24 CPUs on each machine, Ray offers 64"),
        ([Node(64, 8)], "Ray offers machines of 8"),
        ([Node(64, 16)], "Ray offers machines of 16"),
        ([], "machines of 8 GPUs are asked for"),
    ],
)
def test_clusters_that_would_wait_for_ever(nodes, says):
    assert says in refused(load_with(), nodes=nodes)
    assert bool(says) == bool(refused(load_with(), nodes=nodes))


def separate(**changes):
    """Four GPUs for the trainer and four for the rollout, on each of two machines."""
    return load_with(gpus_per_node=4, rollout_gpus_per_node=4, **changes)


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([Node(25, 8)] * 2, ""),
        ([Node(24, 8)] * 2, "reserve 50 CPUs, Ray offers 48"),
        ([Node(19, 8), Node(64, 8)], "reserve 20 CPUs on each machine"),
        ([Node(64, 7)] * 2, "2 machines of 8 GPUs are asked for"),
        ([Node(64, 4)] * 2, "or cluster.rollout_gpus_per_node"),
    ],
)
def test_a_rollout_s_own_gpus_are_counted(nodes, says):
    assert says in refused(separate(), nodes=nodes)
    assert bool(says) == bool(refused(separate(), nodes=nodes))


@pytest.mark.parametrize(
    ("changes", "fine"),
    [
        ({"tensor_parallel": 4}, True),
        ({"tensor_parallel": 8}, True),
        ({"tensor_parallel": 16}, False),
        # Two machines, of which Ray may give one to both parts of the trainer.
        ({"gpus_per_node": 6, "rollout_gpus_per_node": 4, "tensor_parallel": 4}, False),
        ({"gpus_per_node": 6, "rollout_gpus_per_node": 4, "tensor_parallel": 4, "nodes": 1}, True),
        ({"gpus_per_node": 6, "rollout_gpus_per_node": 4, "tensor_parallel": 2}, True),
        # The trainer's ranks are in no engine.
        ({"gpus_per_node": 2, "rollout_gpus_per_node": 4, "tensor_parallel": 4, "nodes": 1}, True),
    ],
)
def test_engines_fill_the_gpus_of_the_rollout_alone(changes, fine):
    # A number of prompts that any number of ranks here divides.
    load = replace(separate(), prompts=384, **changes)
    assert bool(refused(load)) != fine, refused(load)


@pytest.mark.parametrize(("nodes", "gpus", "cpus"), [(1, 1, 13), (1, 8, 34), (2, 8, 58)])
def test_cpus_of_verls_actors(nodes, gpus, cpus):
    assert needed_cpus(load_with(nodes=nodes, gpus_per_node=gpus), "gpu") == cpus


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_cpus_are_those_of_the_pinned_verl(make_stage, device):
    from verl.single_controller.ray.base import ResourcePoolManager

    from judgerlvr.engine.verl_config import render
    from judgerlvr.planning.constants import CPUS_PER_GPU

    backend = render(make_stage("generate", device)).transfer_queue.backend.SimpleStorage
    assert backend.num_data_storage_units == STORAGE_UNITS[device]
    assert ResourcePoolManager.max_colocate_count == CPUS_PER_GPU
