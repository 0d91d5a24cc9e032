"""Which process is killed when, all from one seed: in a phase of a step, or at a time of a clock."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle

STAGES = ("judge", "generate")
STEPS = 3
PHASES = ("start", "sampling", "update", "save", "publish")
# A moment of a step whose phase the clock decides.
ANY = "any"
OF_A_STEP = ("sampling", "update", "save")
# Pattern of the command line of the process that each kind kills. Ray names its workers by their classes.
VICTIMS = {
    "runner": "^ray::StageRunner",
    "trainer": "^ray::WorkerDict",
    "engine": "^(ray::(ManyServer|InterruptingServer|vLLM)|VLLM::)",
    "worker": "^ray::(LeanWorker|AgentLoop|RewardLoop|SimpleStorage|TransferQueue)",
    "raylet": "/raylet/raylet ",
}
# Kinds that need no process of Ray's.
ALONE = ("driver", "sigterm", "disk", "memory")
KINDS = (*VICTIMS, *ALONE)


@dataclass
class Kill:
    """One kill: what was planned, and what was seen.

    ``share`` is the part of the time of the phase ``wanted``, 0 to 1, that passes before the kill. For ``ANY`` the
    time is the step's. ``phase`` and ``step`` were seen when the kill was made, at the time ``at`` in UTC and
    ``seconds_in`` after the command's start. ``tracebacks`` counts those on the console.
    ``left`` is what there still was ``seconds_to_nothing`` after the command's end.
    """

    number: int
    kind: str
    stage: str
    wanted: str
    wanted_step: int
    share: float
    phase: str = ""
    step: int = 0
    at: str = ""
    seconds_in: float = 0.0
    delay: float = 0.0
    victim: str = ""
    code: int | None = None
    seconds: float = 0.0
    seconds_to_end: float = 0.0
    last: list[str] = field(default_factory=list)
    tracebacks: int = 0
    left: list[str] = field(default_factory=list)
    seconds_to_nothing: float = 0.0
    not_finite: list[str] = field(default_factory=list)


def plan(count: int, seed: int, stages: Sequence[str] = STAGES) -> list[Kill]:
    """Phases in turn, and in each phase the kinds in turn, in the order in which a run meets them.

    A stage that starts or publishes has no process of Ray's, so that only some kinds are left.
    """
    draw = random.Random(seed)
    starting, publishing, inside = (cycle(draw.sample(kinds, len(kinds))) for kinds in (ALONE, ALONE, KINDS))
    turns = {"start": starting, "publish": publishing}
    kills = []
    for number in range(count):
        phase, stage = PHASES[number % len(PHASES)], stages[number * len(stages) // count]
        kind = next(turns.get(phase, inside))
        step = {"start": 1, "publish": STEPS + 1}.get(phase) or draw.randint(1, STEPS)
        kills.append(Kill(number, kind, stage, phase, step, round(draw.random(), 3)))
    return _in_order(kills)


def clock(count: int, seed: int, stages: Sequence[str] = STAGES) -> list[Kill]:
    """Times drawn over whole steps. No kind comes again before all have come.

    Kinds with and without a process of Ray's alternate. In each stage the first one without such a process meets the
    publishing.
    """
    draw = random.Random(seed)
    turns = cycle([cycle(draw.sample(kinds, len(kinds))) for kinds in (tuple(VICTIMS), ALONE)])
    kills: list[Kill] = []
    for number in range(count):
        stage, kind = stages[number * len(stages) // count], next(next(turns))
        first = kind in ALONE and not any(kill.stage == stage and kill.kind in ALONE for kill in kills)
        step, share = draw.randint(1, STEPS), round(draw.random(), 3)
        phase, step = ("publish", STEPS + 1) if first else (ANY, step)
        kills.append(Kill(number, kind, stage, phase, step, share))
    return _in_order(kills)


def _in_order(kills: list[Kill]) -> list[Kill]:
    """The order in which a run meets the kills."""
    order = (*PHASES, ANY)
    kills.sort(key=lambda kill: (STAGES.index(kill.stage), kill.wanted_step, order.index(kill.wanted)))
    for number, kill in enumerate(kills):
        kill.number = number
    return kills
