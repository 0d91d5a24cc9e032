"""Which process is killed in which phase of which step: all from one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import cycle

STAGES = ("judge", "generate")
STEPS = 3
PHASES = ("start", "sampling", "update", "save", "publish")
# Pattern of the command line of the process that each kind kills. Ray names its workers by their classes.
VICTIMS = {
    "runner": "^ray::StageRunner",
    "trainer": "^ray::WorkerDict",
    "engine": "^ray::vLLM",
    "worker": "^ray::(AgentLoop|RewardLoop|SimpleStorage|TransferQueue)",
    "raylet": "/raylet/raylet ",
}
# Kinds that need no process of Ray's.
ALONE = ("driver", "sigterm", "disk", "memory")
KINDS = (*VICTIMS, *ALONE)


@dataclass
class Kill:
    """One kill: what was planned, and what was seen.

    ``share`` is the part of the phase's time, 0 to 1, that passes before the kill. ``phase`` and ``step`` were
    seen when the kill was made. ``tracebacks`` counts those on the console. ``left`` is what there still was
    ``seconds_to_nothing`` after the command's end.
    """

    number: int
    kind: str
    stage: str
    wanted: str
    wanted_step: int
    share: float
    phase: str = ""
    step: int = 0
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


def plan(count: int, seed: int) -> list[Kill]:
    """Phases in turn, and in each phase the kinds in turn, in the order in which a run meets them.

    A stage that starts or publishes has no process of Ray's, so that only some kinds are left.
    """
    draw = random.Random(seed)
    inside, outside = (cycle(draw.sample(kinds, len(kinds))) for kinds in (KINDS, ALONE))
    kills = []
    for number in range(count):
        phase, stage = PHASES[number % len(PHASES)], STAGES[number * len(STAGES) // count]
        kind = next(outside if phase in ("start", "publish") else inside)
        step = {"start": 1, "publish": STEPS + 1}.get(phase) or draw.randint(1, STEPS)
        kills.append(Kill(number, kind, stage, phase, step, round(draw.random(), 3)))
    kills.sort(key=lambda kill: (STAGES.index(kill.stage), kill.wanted_step, PHASES.index(kill.wanted)))
    for number, kill in enumerate(kills):
        kill.number = number
    return kills
