"""How many arms can train at once on a running Ray cluster, by what Ray offers and what a stage takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Literal

from judgerlvr.cluster.ray import resources_of
from judgerlvr.config.load import resolve_path
from judgerlvr.experiments.checks import stage_config
from judgerlvr.experiments.plan import Plan, StagePlan
from judgerlvr.planning.constraints import cpus_of_machine, needed_cpus
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import GIB, free_gib
from judgerlvr.planning.shapes import known_shape
from judgerlvr.planning.storage import storage
from rewards.errors import InputError
from rewards.wording import counted

Device = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Need:
    """What a stage takes: ``machines``, and of each machine GPUs, CPUs and GiB of memory. ``all_cpus`` counts all.

    ``disk_gib`` holds the checkpoints of the stage's whole arm. Memory and disk are None for an unknown policy.
    """

    machines: int
    gpus: int
    cpus: int
    all_cpus: int
    memory_gib: float | None
    disk_gib: float | None


def arms_at_once(asked: int, plan: Plan, out: Path, device: Device, address: str | None) -> int:
    """Arms that may train at once: at most ``asked``, and what the cluster has room for.

    Raises:
        InputError: several arms without a running cluster.
    """
    if asked < 2:
        return 1
    if not address:
        remedy = "set RAY_ADDRESS, or leave the option out"
        raise InputError(f"--at-once {asked} without a cluster", remedy)
    room = arms_with_room(resources_of(address), needs_of(plan, out, device), free_gib(out))
    found = min(asked, room)
    print(f"{counted(found, 'arm')} at once: {asked} asked for, room for {room} on the cluster", flush=True)
    return found


def needs_of(plan: Plan, out: Path, device: Device) -> list[Need]:
    """What each stage of a plan takes. A later stage has the shape of the first policy."""
    found = []
    for name, arm in plan.arms.items():
        needs = [need_of(plan, out, device, name, stage) for stage in arm.stages]
        known = [need.disk_gib for need in needs if need.disk_gib is not None]
        found += [replace(need, disk_gib=sum(known) if len(known) == len(needs) else None) for need in needs]
    return found


def need_of(plan: Plan, out: Path, device: Device, name: str, stage: StagePlan) -> Need:
    """What a stage of the arm ``name`` takes, and the disk of its own checkpoints."""
    config = stage_config(plan, out, name, plan.arms[name], stage)
    load, shape = load_of(stage.stage.value, config), known_shape(resolve_path(config.model.path))
    cpus, all_cpus = cpus_of_machine(load), needed_cpus(load, device)
    if not shape:
        return Need(load.nodes, load.all_per_node, cpus, all_cpus, None, None)
    kept = storage(shape, load, config.settings(stage.stage.value), device, config.cluster.rollout_cpu_gib)
    return Need(load.nodes, load.all_per_node, cpus, all_cpus, kept.host_gib, kept.disk_gib)


def arms_with_room(nodes: Sequence[Mapping[str, float]], needs: Sequence[Need], free: float) -> int:
    """Arms that fit at once whatever stages are at work, 1 at least. ``nodes`` are Ray's resources of each machine.

    A machine may serve several arms, if GPUs, CPUs and memory suffice for all. ``free`` are GiB of the disk that holds
    the checkpoints of all arms.
    """
    if any(need.memory_gib is None or need.disk_gib is None for need in needs):
        return 1
    most = Need(*(max(values) for values in zip(*map(astuple, needs), strict=True)))
    each = {"GPU": most.gpus, "CPU": most.cpus, "memory": (most.memory_gib or 0.0) * GIB}
    places = sum(min(int(node.get(kind, 0) // amount) for kind, amount in each.items() if amount) for node in nodes)
    cpus = sum(node.get("CPU", 0) for node in nodes)
    disks = int(free // most.disk_gib) if most.disk_gib else places
    return max(1, min(places // most.machines, int(cpus // most.all_cpus), disks))
