"""What verl, vLLM and Ray ask of a stage's numbers, told before anything is sampled instead of after.

``check_constraints`` serves the start of a run, a continuation and ``--dry-run`` alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from judgerlvr.config.check import Fault, prompt_multiple
from judgerlvr.planning.constants import CPUS_BESIDE, CPUS_PER_GPU, CPUS_PER_ROLLOUT_GPU
from judgerlvr.planning.load import Load
from judgerlvr.planning.shapes import ModelShape
from rewards.errors import InputError
from rewards.wording import agreeing, counted

# verl's units of the transfer queue, each an actor of a CPU (transfer_queue.backend.SimpleStorage).
STORAGE_UNITS = {"gpu": 8, "cpu": 1}


@dataclass(frozen=True)
class Node:
    """What Ray may use of a machine."""

    cpus: float
    gpus: float


def check_constraints(
    load: Load,
    shape: ModelShape | None,
    device: str,
    nodes: Sequence[Node] | None = None,
    rows: int | None = None,
) -> None:
    """Check a stage's numbers against the ranks, the policy, the cluster and the data, as far as each is known.

    ``shape`` is None for an architecture that the planner does not know. ``rows`` counts the training prompts.

    Raises:
        InputError: the first thing that would end the run later, with the key and what to set.
    """
    for fault in _faults(load, shape, device, nodes, rows):
        raise InputError(fault.problem, fault.remedy, field=fault.field)


def _faults(
    load: Load, shape: ModelShape | None, device: str, nodes: Sequence[Node] | None, rows: int | None
) -> Iterator[Fault]:
    yield from _sequence_parallel(load, shape)
    yield from _lengths(load)
    yield from _batch(load, rows)
    if device == "gpu" and shape:
        yield from _tensor_parallel(load, shape)
    if device == "cpu" and load.tensor_parallel > 1:
        problem = "a rollout engine on a CPU is one process"
        yield Fault("cluster.tensor_parallel", problem, "set 1; each rank or GPU of the rollout has an engine")
    if nodes is not None:
        yield from _cluster(load, device, nodes)


def _lengths(load: Load) -> Iterator[Fault]:
    held = load.micro_batch_tokens * load.sequence_parallel
    if held < load.longest:
        problem = f"{held} tokens cannot hold a sequence of {load.longest} (prompt and response)"
        least = -(-load.longest // load.sequence_parallel)
        yield Fault("cluster.micro_batch_tokens", problem, f"set {least} or more")


def _sequence_parallel(load: Load, shape: ModelShape | None) -> Iterator[Fault]:
    size, field = load.sequence_parallel, "cluster.sequence_parallel"
    if size == 1:
        return
    if load.gpus_per_node % size:
        yield Fault(field, f"machines of {load.gpus_per_node} GPUs do not divide by {size}", "use a divisor or 1")
    if shape is None:
        yield Fault(field, "not every layer of this architecture is known to be attention", "set 1")
    elif shape.heads % size:
        yield Fault(field, f"{shape.heads} heads cannot be shared among {size} GPUs", "use a divisor or 1")
    elif max(size, shape.kv_heads) % min(size, shape.kv_heads):
        yield Fault(field, f"{shape.kv_heads} KV heads cannot be shared among {size} GPUs", "use a divisor or 1")


def _batch(load: Load, rows: int | None) -> Iterator[Fault]:
    field = f"{load.kind}.batch.prompts_per_step"
    multiple = prompt_multiple(load.updates, load.samples_per_prompt, load.data_ranks)
    if load.prompts % multiple:
        samples = counted(load.prompts // load.updates * load.samples_per_prompt, "sample")
        problem = f"{samples} an update cannot be divided among {load.data_ranks} data-parallel ranks"
        yield Fault(field, problem, f"set a multiple of {multiple}, e.g. {-(-load.prompts // multiple) * multiple}")
    if rows is not None and load.prompts > rows:
        problem = f"{load.prompts} prompts a step, and the training data has {rows} that fit"
        most = rows // multiple * multiple
        yield Fault(field, problem, f"set at most {most}, or give more data" if most else "give more data")


def _tensor_parallel(load: Load, shape: ModelShape) -> Iterator[Fault]:
    size, field = load.tensor_parallel, "cluster.tensor_parallel"
    if size > load.rollout_ranks:
        problem = f"engines of {counted(size, 'GPU')}, and there are {load.rollout_ranks}"
        yield Fault(field, problem, f"set at most {load.rollout_ranks}")
    # Either number may be the larger: engines share a machine or span several machines.
    if max(size, load.rollout_per_node) % min(size, load.rollout_per_node):
        problem = f"engines of {counted(size, 'GPU')} cannot fill machines of {load.rollout_per_node}"
        yield Fault(field, problem, "use a divisor")
    # Ray may put the trainer's parts on one machine. The rest must still hold whole engines.
    part = min(size, load.rollout_per_node)
    if load.separate and load.nodes > 1 and load.gpus_per_node % part:
        problem = f"a trainer's {load.gpus_per_node} GPUs and engines of {part} leave gaps on {load.nodes} machines"
        yield Fault(field, problem, "use a divisor of cluster.gpus_per_node too")
    # With more GPUs than KV heads vLLM copies heads, so either number may be the larger.
    if max(size, shape.kv_heads) % min(size, shape.kv_heads):
        yield Fault(
            field, f"{shape.kv_heads} KV heads cannot be shared among {counted(size, 'GPU')}", "use a divisor or 1"
        )
    for name, count in (("heads", shape.heads), ("layers' width", shape.width), ("experts' width", shape.expert_width)):
        if count % size:
            yield Fault(field, f"{name} of {count} do not divide by {size}", "use a divisor or 1")


def _cluster(load: Load, device: str, nodes: Sequence[Node]) -> Iterator[Fault]:
    """verl reserves machines with a placement group each: a group that never fits stays pending without a word."""
    wanted = cpus_of_machine(load)
    with_gpus = [node for node in nodes if node.gpus >= load.all_per_node]
    if len(with_gpus) < load.nodes:
        offered = ", ".join(f"{node.gpus:.0f}" for node in nodes)
        machines = f"{counted(load.nodes, 'machine')} of {counted(load.all_per_node, 'GPU')}"
        problem = f"{machines} {agreeing(load.nodes, 'is', 'are')} asked for, Ray offers machines of {offered}"
        own = " or cluster.rollout_gpus_per_node" if load.separate else ""
        yield Fault("cluster", problem, f"lower cluster.nodes or cluster.gpus_per_node{own}")
    if sum(node.cpus >= wanted for node in with_gpus) < load.nodes:
        most = max((node.cpus for node in with_gpus), default=0.0)
        problem = f"verl's workers reserve {counted(wanted, 'CPU')} on each machine, Ray offers {most:.0f}"
        yield Fault("cluster", problem, f"start Ray with --num-cpus={needed_cpus(load, device)} or more")
    total, needed = sum(node.cpus for node in nodes), needed_cpus(load, device)
    if total < needed:
        problem = f"verl's actors reserve {counted(needed, 'CPU')}, Ray offers {total:.0f}"
        yield Fault("cluster", problem, f"start Ray with --num-cpus={-(-needed // load.nodes)} or more on each machine")


def needed_cpus(load: Load, device: str) -> int:
    """CPUs that Ray must offer in all. The actors are counted, not used: verl's many small actors mostly sleep."""
    return cpus_of_machine(load) * load.nodes + STORAGE_UNITS[device] + CPUS_BESIDE


def cpus_of_machine(load: Load) -> int:
    """CPUs that verl's placement groups reserve on a machine."""
    return CPUS_PER_GPU * load.gpus_per_node + CPUS_PER_ROLLOUT_GPU * load.rollout_gpus_per_node
