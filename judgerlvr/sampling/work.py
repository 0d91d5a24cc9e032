"""What is left to sample of one job: all samples of a problem at once, or rounds that end the problem early."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from judgerlvr.sampling.plan import Job, Rounds
from judgerlvr.sampling.requests import Finished, Prompts, Request
from judgerlvr.sampling.samples import CUT, OVERSIZE, Sample
from rewards.errors import InputError

# (place of the item, index of the sample)
Place = tuple[int, int]


class JobWork:
    """The samples of one job: on the disk, at work, and waiting. Memory: some 100 bytes a problem.

    ``_have`` and ``_right`` are bit sets of sample indices. ``_goal`` is the number of samples of the rounds so far.
    """

    def __init__(self, key: str, job: Job, prompts: Prompts, rounds: Rounds | None) -> None:
        self.key, self.job, self.prompts, self.rounds = key, job, prompts, rounds
        self.waiting: deque[Place] = deque()
        self.wanted = 0
        self.counts: Counter[str] = Counter()
        self._places = {(item.set, item.id): place for place, item in enumerate(prompts.items)}
        self._have = [0] * len(prompts.items)
        self._right = [0] * len(prompts.items)
        self._goal = [0] * len(prompts.items)

    @property
    def done(self) -> bool:
        """Whether every sample is on the disk. Rounds that are yet to come count once they are known."""
        return self.counts["samples"] >= self.wanted

    def take_back(self, record: Mapping[str, Any]) -> None:
        """Count a record of an earlier attempt.

        Raises:
            InputError: nobody asked for the item.
        """
        key = record["set"], record["id"]
        if key not in self._places:
            raise InputError(f"holds a sample of {key[1]} of {key[0]}, which is not asked for", "remove its lines")
        place = self._places[key]
        self._count(place, record["sample"], record["right"], record["finish_reason"], record["unclosed"])
        self.counts["tokens"] += record["tokens"] or 0

    def prepare(self) -> list[Sample]:
        """Fill the queue with what is missing. Returns the samples that need no engine."""
        return self._extend(range(len(self._goal)))

    def request(self, name: str, place: Place) -> Request:
        """The request for a waiting sample."""
        request = self.prompts.request(name, *place, self.job.decoding)
        assert request is not None, "prompts without room never wait"
        return request

    def samples(self, answers: Iterable[tuple[Place, Finished | None]]) -> list[Sample]:
        """The samples of finished requests, graded where rounds need the outcome."""
        found = [self.prompts.sample(*place, self.job.decoding, finished) for place, finished in answers]
        if self.rounds is None or not found:
            return found
        grades = self.rounds.grade(found)
        return [replace(sample, right=right) for sample, right in zip(found, grades, strict=True)]

    def count(self, samples: Sequence[Sample]) -> list[Sample]:
        """Count samples that are on the disk now. Returns further samples that need no engine."""
        places = []
        for sample in samples:
            place = self._places[sample.item.set, sample.item.id]
            self._count(place, sample.index, sample.right, sample.finish_reason, sample.unclosed)
            self.counts["tokens"] += sample.tokens or 0
            places.append(place)
        return self._extend(dict.fromkeys(places))

    def _count(self, place: int, index: int, right: bool | None, finish: str, unclosed: bool) -> None:
        self._have[place] |= 1 << index
        self._right[place] |= bool(right) << index
        self.counts.update({"samples": 1, "truncated": finish == CUT, "too long": finish == OVERSIZE})
        self.counts["unclosed"] += unclosed

    def _extend(self, places: Iterable[int]) -> list[Sample]:
        """Ask for the next round of these problems where the rounds so far are complete and not enough."""
        without_engine: list[tuple[Place, None]] = []
        for place in places:
            before, goal = self._goal[place], self._next_goal(place)
            self._goal[place] = goal
            self.wanted += goal - before
            asked = [(place, index) for index in range(before, goal) if not self._have[place] >> index & 1]
            if self.prompts.room(place, self.job.decoding) < 1:
                without_engine += [(key, None) for key in asked]
            else:
                self.waiting.extend(asked)
        return self.samples(without_engine)

    def _next_goal(self, place: int) -> int:
        most = self.job.decoding.n
        size = min(self.rounds.size, most) if self.rounds else most
        goal = self._goal[place] or size
        while goal < most and not self._missing(place, goal) and not self._both(place, goal):
            goal = min(most, goal + size)
        return goal

    def _missing(self, place: int, goal: int) -> bool:
        full = (1 << goal) - 1
        return self._have[place] & full != full

    def _both(self, place: int, goal: int) -> bool:
        """Whether the complete rounds hold a right and a wrong sample."""
        full = (1 << goal) - 1
        return 0 < (self._right[place] & full) < full
