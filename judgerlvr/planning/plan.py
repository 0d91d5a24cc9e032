"""A plan: what a stage takes of cards, hosts, disk and time, and whether the stage fits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from judgerlvr.config.schema import Config, Kind
from judgerlvr.planning.load import Load, load_of
from judgerlvr.planning.machine import Machine
from judgerlvr.planning.measured import factors_for
from judgerlvr.planning.memory import Cache, Phase, cache, phases
from judgerlvr.planning.proposals import change, micro_batch_tokens, rollout_share
from judgerlvr.planning.rollout_arguments import uncounted
from judgerlvr.planning.shapes import ModelShape
from judgerlvr.planning.speed import Tokens, full_length, step_seconds
from judgerlvr.planning.storage import Storage, storage, storage_shortfalls


@dataclass(frozen=True)
class Plan:
    """Figures of a stage on GPUs. ``shortfalls`` says what does not fit and by how much; empty: the stage fits.

    ``seconds`` are of a step in which every response is as long as allowed; ``half`` of a step at half the length.
    """

    shape: ModelShape
    load: Load
    machine: Machine
    phases: list[Phase]
    cache: Cache
    storage: Storage
    seconds: dict[str, float]
    half: dict[str, float]
    share: float
    tokens: int
    steps: int
    measured: bool
    shortfalls: list[str] = field(default_factory=list)
    change: str = ""
    uncounted: list[str] = field(default_factory=list)

    @property
    def fits(self) -> bool:
        return not self.shortfalls


def make_plan(kind: Kind, config: Config, shape: ModelShape, machine: Machine, prompts: int | None = None) -> Plan:
    """The plan of a stage on GPUs.

    Raises:
        InputError: ``planning.measured`` names a file that is not one, or speeds of another card.
    """
    settings = config.settings(kind)
    load, card = load_of(kind, config, prompts), machine.gpu
    factors = factors_for(machine.card, config.planning.measured)
    full = full_length(load)
    # At half the mean length some response still has the full length and ends the sampling.
    half = Tokens(full.prompt, full.response / 2, full.longest_response)
    kept = storage(shape, load, settings, "gpu")
    plan = Plan(
        shape=shape,
        load=load,
        machine=machine,
        phases=phases(shape, load, card),
        cache=cache(shape, load, card),
        storage=kept,
        seconds=step_seconds(shape, load, machine, full, factors),
        half=step_seconds(shape, load, machine, half, factors),
        share=rollout_share(shape, load, card),
        tokens=micro_batch_tokens(shape, load, card),
        steps=settings.stop.steps,
        measured=bool(factors),
        uncounted=uncounted(config.cluster, config.engine, "gpu"),
    )
    on_card = _card_shortfalls(plan)
    plan.shortfalls.extend([*on_card, *storage_shortfalls(kept, machine)])
    # Proposals change what lies on a card, which is no help against a full disk.
    return replace(plan, change=change(shape, load, card)) if on_card else plan


def _card_shortfalls(plan: Plan) -> list[str]:
    card = plan.machine.gpu.memory_gib
    over = [
        f"{phase.name}: {phase.gib:.1f} GiB on a card of {card:.1f}, {phase.gib - card:.1f} too many"
        for phase in plan.phases
        if phase.gib > card
    ]
    if plan.cache.starts:
        return over
    return [*over, f"rollout: {plan.cache.gib:.1f} GiB of KV cache, one full sequence takes {plan.cache.least:.1f}"]
