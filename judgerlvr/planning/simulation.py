"""Rollouts of a step by simulation: how long engines sample, how long they wait, and what waiting costs.

An engine runs at most ``slots`` sequences. A finished sequence gives its slot to the next sample in order, as vLLM's
continuous batching does. Samples are dealt to the engines in turn. Engines do not help each other.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from judgerlvr.planning.lengths import Lengths

# Steps that are drawn, and the seed of the draw.
DRAWS, SEED = 8, 0
# Steps that asynchronous rollouts go through without waiting for each other.
FLOWING = 8


@dataclass(frozen=True)
class Engine:
    """Costs in seconds: of a step by running sequences, of a generated token, and of a sample's share of its prompt."""

    slots: int
    step: Callable[[int], float]
    token: float
    prefill: float


@dataclass(frozen=True)
class Sampled:
    """``seconds`` until the last engine has its samples. ``busy``: mean seconds of an engine.

    ``filled`` is the share of all slots' steps, until the last engine ends, in which a token was made.
    """

    seconds: float
    busy: float
    filled: float

    @property
    def waiting(self) -> float:
        """Share of the sampling that a mean engine waits for the last engine."""
        return 1 - self.busy / self.seconds


def run_engine(lengths: Sequence[int], engine: Engine) -> tuple[float, int]:
    """(seconds, steps) until an engine has sampled all ``lengths``, in order."""
    waiting, running = iter(lengths), [*lengths[: engine.slots]]
    for _ in running:
        next(waiting)
    heapq.heapify(running)
    now, seconds = 0, len(lengths) * engine.prefill
    while running:
        passed = running[0] - now
        seconds += passed * (engine.step(len(running)) + len(running) * engine.token)
        now += passed
        # Ended sequences leave together, and each slot takes the next sample.
        while running and running[0] == now:
            following = next(waiting, None)
            if following is None:
                heapq.heappop(running)
            else:
                heapq.heapreplace(running, now + following)
    return seconds, now


def sample(lengths: Sequence[int], engines: int, engine: Engine) -> Sampled:
    """One step: the trainer waits until every sample is there."""
    dealt = [lengths[first::engines] for first in range(engines)]
    ends = [run_engine(own, engine) for own in dealt]
    seconds = [end[0] for end in ends]
    slots = sum(min(engine.slots, len(own)) for own in dealt)
    return Sampled(max(seconds), fmean(seconds), sum(lengths) / (slots * max(end[1] for end in ends)))


def synchronous(lengths: Lengths, samples: int, engines: int, engine: Engine) -> Sampled:
    """Means over ``DRAWS`` drawn steps of ``samples`` each."""
    draw = random.Random(SEED)
    found = [sample(draw.choices(lengths.tokens, k=samples), engines, engine) for _ in range(DRAWS)]
    return Sampled(*(fmean(getattr(one, name) for one in found) for name in ("seconds", "busy", "filled")))


def asynchronous(lengths: Lengths, samples: int, engines: int, engine: Engine) -> float:
    """Mean seconds of sampling a step where ``FLOWING`` steps flow through the engines without a wait between them.

    There are as many slots as in the synchronous step, so that no more sequences are in flight.
    """
    draw = random.Random(SEED)
    found = sample(draw.choices(lengths.tokens, k=samples * FLOWING), engines, engine)
    return found.busy / FLOWING
