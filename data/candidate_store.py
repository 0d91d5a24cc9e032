"""All candidates of a judge set: texts on disk, what selection needs in arrays of a few bytes a candidate."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import overload

from data.identity import label_of
from data.responses import Candidate
from data.spool import Spool
from rewards.errors import InputError
from rewards.types import Problem

# A label that a file gives. A third value says that the file gives none.
GIVEN = {True: 1, False: 0, None: -1}
GIVEN_BACK = {code: label for label, code in GIVEN.items()}


class StoredProblems(Sequence[Problem]):
    """Problems on disk, each once, in order of first appearance."""

    def __init__(self, folder: Path | None) -> None:
        self._spool = Spool(folder)
        self._places: dict[str, int] = {}
        # Golds stay in memory, because every further row of a problem is compared with the gold.
        self._golds: list[str | None] = []
        # A cache on the method would keep every store alive, so each object makes a cache.
        self.read = lru_cache(maxsize=64)(self._read)

    def place_of(self, problem: Problem) -> int:
        """The place of a problem, which is stored if it is new.

        Raises:
            InputError: the problem is there with another gold answer.
        """
        place = self._places.get(problem.id)
        if place is None:
            place = self._places[problem.id] = len(self._golds)
            self._golds.append(problem.gold)
            content = [problem.id, problem.text, problem.gold, dict(problem.meta)]
            self._spool.append(json.dumps(content, ensure_ascii=False, default=str))
        elif self._golds[place] != problem.gold:
            text = f"problem {label_of(problem)[:60]!r} has two gold answers: {self._golds[place]!r}, {problem.gold!r}"
            raise InputError(text, "keep the responses with the right gold answer", field="gold")
        return place

    def _read(self, place: int) -> Problem:
        return Problem(*json.loads(self._spool.read(place)))

    def ids(self) -> Iterable[str]:
        """Identities in order of first appearance."""
        return self._places.keys()

    def __len__(self) -> int:
        return len(self._golds)

    @overload
    def __getitem__(self, place: int) -> Problem: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Problem]: ...

    def __getitem__(self, place: int | slice) -> Problem | Sequence[Problem]:
        if isinstance(place, slice):
            return [self._read(index) for index in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        # The cache knows a problem by a single number, so -1 becomes the last place.
        return self.read(place % len(self))

    def __iter__(self) -> Iterator[Problem]:
        # A full pass reads whole blocks and leaves the cache to random reads.
        return (Problem(*json.loads(text)) for text in self._spool.read_all())


class CandidateStore:
    """Candidates in the order of the files. The columns are parallel to the responses."""

    def __init__(self, folder: Path | None = None) -> None:
        self.problems = StoredProblems(folder)
        self._responses = Spool(folder)
        # An array takes 1 or 4 bytes a candidate, a list takes a pointer of 8 bytes.
        self.problem = array("i")
        self.given = array("b")
        self.cut = array("b")
        self.model = array("i")
        self.source = array("i")
        self.models: dict[str, int] = {}
        self.sources: dict[str, int] = {}

    @classmethod
    def of(cls, candidates: Iterable[Candidate], folder: Path | None = None) -> CandidateStore:
        """Store candidates as they come.

        Raises:
            InputError: one problem has two gold answers.
        """
        store = cls(folder)
        for candidate in candidates:
            store.add(candidate)
        return store

    def __len__(self) -> int:
        return len(self.problem)

    def add(self, candidate: Candidate) -> None:
        self.problem.append(self.problems.place_of(candidate.problem))
        self._responses.append(candidate.response)
        self.given.append(GIVEN[candidate.label])
        self.cut.append(candidate.finish_reason == "length")
        self.model.append(self.models.setdefault(candidate.model, len(self.models)))
        self.source.append(self.sources.setdefault(candidate.source, len(self.sources)))

    def response(self, place: int) -> str:
        return self._responses.read(place)

    def __iter__(self) -> Iterator[tuple[int, Problem, str]]:
        """(place, problem, response) of every candidate, in order."""
        for place, response in enumerate(self._responses.read_all()):
            yield place, self.problems.read(self.problem[place]), response
