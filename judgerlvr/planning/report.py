"""A plan as text: each figure with the parts, what is assumed, and the verdict in the last line."""

from __future__ import annotations

from collections.abc import Iterator

from judgerlvr.config.sourced import Constant
from judgerlvr.planning import constants
from judgerlvr.planning.load import Load
from judgerlvr.planning.machine import Machine
from judgerlvr.planning.measured import CPU, measured_for, seconds_by_token
from judgerlvr.planning.plan import Plan
from judgerlvr.planning.proposals import key_of
from judgerlvr.planning.rollout_arguments import uncounted_lines
from judgerlvr.planning.speed import full_length
from judgerlvr.planning.storage import Storage
from rewards.errors import InputError
from rewards.wording import agreeing, counted


def size(parameters: float) -> str:
    """A number of parameters for people."""
    return f"{parameters / 1e9:.2f} B parameters" if parameters >= 1e8 else f"{parameters / 1e6:.1f} M parameters"


def plan_lines(plan: Plan) -> list[str]:
    """Lines for a person who decides whether to start the stage."""
    shape, load, card = plan.shape, plan.load, plan.machine.gpu
    return [
        f"plan: {load.nodes} x {load.gpus_per_node} {plan.machine.card} of {card.memory_gib} GiB, {_own(load)}"
        f"{shape.model_type} of {size(shape.parameters)}, sequences of {counted(load.longest, 'token')}",
        "GiB on a GPU by phase:",
        *(f"  {phase.name:<24}{phase.gib:6.1f}  ({_parts(phase.parts)})" for phase in plan.phases),
        f"  KV cache{plan.cache.gib:22.1f}  ({plan.cache.at_once:.1f} full sequences at once, of {plan.cache.wanted} "
        "that an engine samples in a step)",
        *storage_lines(plan.storage, plan.machine),
        *_time_lines(plan),
        *_proposals(plan),
        *uncounted_lines(plan.uncounted),
        f"assumed, not measured: {', '.join(assumed())}",
        *verdict_lines(plan.shortfalls, plan.change),
    ]


def storage_lines(kept: Storage, machine: Machine) -> list[str]:
    """Host memory and disk beside what there is, where that is known."""
    host = f"{machine.host_gib:.1f} there" if machine.host_gib else "not checked: set planning.host_gib"
    disk = f"{machine.disk_gib:.1f} free" if machine.disk_gib else "not checked: set planning.disk_gib"
    return [
        f"host GiB of a machine: {kept.host_gib:.1f} ({_parts(kept.host)}; {host})",
        f"disk GiB: {kept.disk_gib:.1f}, {counted(kept.kept, 'checkpoint')} of "
        f"{kept.checkpoint_gib:.1f} at once ({disk})",
    ]


def cpu_time_lines(measured: str, load: Load) -> list[str]:
    """Minutes a step on a CPU, where the file ``measured`` has them: the constants are of GPUs.

    Raises:
        InputError: ``planning.measured`` names a file that is not one, or speeds of a card.
    """
    if not measured:
        return ["minutes a step: unknown on a CPU; python -m judgerlvr.measure has them"]
    seconds = seconds_by_token(measured_for(CPU, measured), load, full_length(load))
    phases = ", ".join(f"{phase} {value:.0f} s" for phase, value in seconds.items())
    return [f"minutes a step: {sum(seconds.values()) / 60:.1f} at most ({phases}), measured on this CPU"]


def verdict_lines(shortfalls: list[str], change: str) -> list[str]:
    if not shortfalls:
        return ["verdict: fits"]
    return [
        "verdict: does not fit",
        *(f"  {text}" for text in shortfalls),
        *([f"  fits with {change}"] if change else []),
    ]


def require_room(shortfalls: list[str], change: str) -> None:
    """Raise an InputError where the stage does not fit. The message says by how much, and what would fit."""
    if shortfalls:
        remedy = f"set {change}" if change else "take a smaller batch, shorter responses, or a larger machine"
        raise InputError(f"the stage does not fit: {shortfalls[0]}", remedy, field="cluster")


def assumed() -> list[str]:
    """Names of the constants that nobody measured."""
    items = vars(constants).items()
    return [name for name, value in items if isinstance(value, Constant) and value.source == "assumed"]


def _parts(parts: dict[str, float]) -> str:
    # Smaller parts would print as 0.0.
    return ", ".join(f"{name} {gib:.1f}" for name, gib in parts.items() if gib >= 0.05)


def _time_lines(plan: Plan) -> Iterator[str]:
    total, half = sum(plan.seconds.values()), sum(plan.half.values())
    phases = ", ".join(f"{phase} {seconds:.0f} s" for phase, seconds in plan.seconds.items())
    yield f"minutes a step: {total / 60:.1f} at most ({phases}), {half / 60:.1f} with responses of half the length"
    constant = f"constants of an {constants.MEASURED_ON.upper()}; python -m judgerlvr.measure has yours"
    source = "measured on your cards" if plan.measured else constant
    hours = plan.steps * half / 3600
    taken = f"{counted(plan.steps, 'step')} {agreeing(plan.steps, 'takes', 'take')}"
    yield f"  without grading, validation and saving; {taken} {hours:.1f} h at half the length"
    yield f"  speeds: {source}"
    if plan.load.separate:
        least = max(plan.seconds["sampling"], total - plan.seconds["sampling"])
        yield f"  sampling goes on beside the other phases: {least / 60:.1f} min if all overlaps, which nobody measured"


def _own(load: Load) -> str:
    """The rollout's GPUs, where the rollout has its own."""
    return f"{load.nodes} x {load.rollout_gpus_per_node} more for the rollout alone, " if load.separate else ""


def _proposals(plan: Plan) -> Iterator[str]:
    # vLLM leaves the share aside where bytes of the cache were asked for.
    share = 0.0 if plan.load.kv_cache_bytes else plan.share
    proposed = {"rollout_share": share, "micro_batch_tokens": plan.tokens}
    for name, value in proposed.items():
        given = getattr(plan.load, name)
        if value and value != given:
            yield f"largest that fits: {key_of(name, plan.load)}={value} ({given} is set)"
