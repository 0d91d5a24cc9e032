"""The judge set from candidates, in bounded memory: read, decontaminate, label, filter, select, describe.

Texts lie on disk. The candidates are read once and their texts once more when they are graded.
Every filter runs before the classes are balanced, so that the card describes the rows that are written.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np

from data import card_statistics as statistics
from data.balancing import Labels, Places, balanced, mixed_only, shuffled, split_by_problem, without_duplicates
from data.baselines import Columns, baselines
from data.candidate_store import CandidateStore
from data.card import Card
from data.decontaminate import contaminated_places
from data.identity import label_of
from data.importing.options import BadRowList
from data.labelling import LabelTable, Progress, Refuse, Triplet, View, label_candidates, triplet_of
from data.problems import GoldGrader, GradeMany, bad_gold, bad_golds
from data.responses import Candidate
from rewards.errors import InputError
from rewards.types import Problem
from rewards.wording import counted


class TripletList(Sequence[Triplet]):
    """Triplets in a fixed order. Each is read from disk when it is asked for."""

    def __init__(self, store: CandidateStore, places: Places, labels: Labels, view: View) -> None:
        self._store, self._places, self._labels, self._view = store, places, labels, view

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Triplet: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Triplet]: ...

    def __getitem__(self, index: int | slice) -> Triplet | Sequence[Triplet]:
        if isinstance(index, slice):
            return TripletList(self._store, self._places[index], self._labels[index], self._view)
        place = int(self._places[index])
        return triplet_of(self._store, place, bool(self._labels[index]), self._view)

    def __iter__(self) -> Iterator[Triplet]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True)
class JudgeSet:
    """Training triplets in random order, triplets of held-out problems, and the card of both.

    ``seconds`` are processor seconds of this process and its ended children by step.
    """

    train: Sequence[Triplet]
    heldout: Sequence[Triplet]
    card: Card
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class JudgeSetSettings:
    """How a judge set is made. ``cap_per_problem`` 0 is no cap.

    ``shuffle_labels`` permutes the training labels, never the held-out labels: the control of a learning claim.
    """

    view: View = field(default_factory=View)
    cap_per_problem: int = 4
    heldout_problems: int = 0
    seed: int = 0
    eval_files: Sequence[Path] = ()
    contamination: str = "stop"
    bad_rows: str = "stop"
    shuffle_labels: bool = False


Warn = Callable[[Sequence[Problem]], object]


class NothingToJudge(InputError):
    """No problem is left that has both a right and a wrong candidate to train on."""


def build_judge_set(
    candidates: Iterable[Candidate],
    *,
    grade_many: GradeMany,
    golds: GoldGrader | None = None,
    warn: Warn | None = None,
    settings: JudgeSetSettings | None = None,
    refuse: Refuse | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> JudgeSet:
    """JudgeRLVR section 2.1 as a pipeline. Every step's count goes into the card.

    ``golds`` grades gold answers against themselves. ``warn`` sees the problems, each once.
    ``refuse`` names why a prompt cannot be used.
    Texts are spooled to unnamed files in ``folder``.

    Raises:
        InputError: contaminated problems, or one problem with two gold answers.
        NothingToJudge: no training problem is left.
    """
    settings = settings or JudgeSetSettings()
    seconds: dict[str, float] = {}
    with _timed(seconds, "read"):
        store = CandidateStore.of(candidates, folder)
    with _timed(seconds, "decontaminate"):
        foul = contaminated_places(store.problems, settings.eval_files, settings.contamination)
    with _timed(seconds, "gold answers"):
        unread = _bad_golds(store, golds, settings.bad_rows) if golds else set()
        if warn:
            warn(store.problems)
    with _timed(seconds, "label"):
        table = label_candidates(store, grade_many, settings.view, frozenset(foul | unread), refuse, progress)
    with _timed(seconds, "select"):
        selection = _select(store, table, (foul, unread), settings)
    with _timed(seconds, "card"):
        card = _card(store, table, selection, settings)
    labels = table.label[selection.train]
    if settings.shuffle_labels:
        labels = shuffled(labels, settings.seed)
    train = TripletList(store, selection.train, labels, settings.view)
    heldout = TripletList(store, selection.heldout, table.label[selection.heldout], settings.view)
    return JudgeSet(train, heldout, card, seconds)


@dataclass(frozen=True)
class _Selection:
    """Places of the two files, places of all usable responses without repetitions, and the counts on the way."""

    train: Places
    heldout: Places
    distinct: Places
    counts: dict[str, int]


def _select(
    store: CandidateStore, table: LabelTable, left_out: tuple[set[int], set[int]], settings: JudgeSetSettings
) -> _Selection:
    problem = np.asarray(store.problem, dtype=np.int32)
    usable = np.flatnonzero(table.usable)
    distinct = without_duplicates(usable, problem, table.shown)
    mixed = mixed_only(distinct, problem, table.label)
    kept = balanced(mixed, problem, table.label, settings.cap_per_problem, settings.seed)
    train, heldout = split_by_problem(kept, problem, settings.heldout_problems, settings.seed)
    problems = {name: len(np.unique(problem[places])) for name, places in (("usable", usable), ("mixed", mixed))}
    if len(heldout) and not len(train):
        raise NothingToJudge(
            f"nothing to train on: all {counted(problems['mixed'], 'problem')} of mixed outcome are held out",
            "lower judge.data.heldout_problems, or give more candidates",
        )
    if not len(train):
        raise NothingToJudge(
            f"nothing to judge: {_outcomes(len(store), table)}{counted(problems['mixed'], 'problem')} of mixed outcome "
            f"among {problems['usable']}",
            "give candidates that are right for some and wrong for other responses to a problem",
        )
    foul, unread = (int(np.isin(problem, list(places)).sum()) for places in left_out)
    counts = {
        "candidates": len(store),
        "not in an evaluation set": len(store) - foul,
        "with a gold answer that the verifier reads": len(store) - foul - unread,
        "usable": len(usable),
        "distinct": len(distinct),
        "mixed problems": problems["mixed"],
        "of mixed problems": len(mixed),
        "balanced": len(kept),
        "training": len(train),
        "held out": len(heldout),
    }
    return _Selection(train, heldout, distinct, counts)


def _outcomes(count: int, table: LabelTable) -> str:
    """The outcome that no usable candidate has, and how many candidates were set aside for each reason."""
    usable = table.label[table.usable]
    wanting = [name for name, has in (("correct", usable.any()), ("wrong", not usable.all())) if not has]
    aside = ", ".join(f"{number} {reason}" for reason, number in sorted(table.dropped.items()))
    return f"no {wanting[0]} candidate among {count}{f' ({aside})' if aside else ''}, " if wanting else ""


def _card(store: CandidateStore, table: LabelTable, selection: _Selection, settings: JudgeSetSettings) -> Card:
    """The card of the rows that are written, before labels are shuffled."""
    columns = Columns(np.asarray(store.problem, dtype=np.int32), table.label, table.length, table.answer)
    kept = np.concatenate([selection.train, selection.heldout])
    usable = selection.distinct
    # The last digit of the hash halves the problems alike, whatever the order of the files.
    halves = np.array([name[-1] in "02468ace" for name in store.problems.ids()], dtype=bool)
    denied = [store.problems.read(store.problem[place]) for place in table.examples or ()]
    models = [list(store.models)[store.model[place]] for place in table.examples or ()]
    return Card(
        counts=selection.counts,
        dropped=dict(sorted(table.dropped.items())),
        label_agreement=1 - table.denied / table.compared if table.compared else None,
        disagreements=[f"{label_of(p)[:40]} ({m})" for p, m in zip(denied, models, strict=True)],
        splits={name: _split(columns, places) for name, places in _files(selection)},
        characters=statistics.lengths_by_class(kept, columns),
        difficulty=statistics.difficulty(kept, usable, columns),
        baselines=baselines(kept, usable, columns, halves),
        second_grader=statistics.second_grader(kept, store, columns, settings.view),
        majority=statistics.majority_against_gold(usable, store, columns),
        near_duplicates=statistics.near_duplicates(kept, store, columns, settings.view),
        models=statistics.by_name(kept, store.models, store.model, columns),
        sources=statistics.by_name(kept, store.sources, store.source, columns),
        settings=_settings(settings),
    )


def _files(selection: _Selection) -> list[tuple[str, Places]]:
    return [("train", selection.train), ("heldout", selection.heldout)]


def _split(columns: Columns, places: Places) -> dict[str, int]:
    right = int(columns.label[places].sum())
    problems = len(np.unique(columns.problem[places]))
    return {"problems": problems, "right": right, "wrong": len(places) - right}


def _settings(settings: JudgeSetSettings) -> dict[str, object]:
    return {
        "view": settings.view.name,
        "extraction": "lenient" if settings.view.lenient else "strict",
        "cap per problem": settings.cap_per_problem,
        "seed": settings.seed,
        "labels shuffled": settings.shuffle_labels,
        "evaluation sets": ", ".join(map(str, settings.eval_files)) or "none",
    }


def _bad_golds(store: CandidateStore, golds: GoldGrader, bad_rows: str) -> set[int]:
    """Places of problems whose gold answer the verifier does not read. Raises for all of them unless dropped."""
    bad, faults = bad_golds(store.problems, golds), BadRowList()
    for place, reason in bad.items():
        faults.add(bad_gold(store.problems[place], f"{reason} (problem {label_of(store.problems[place])[:60]!r})"))
    if bad_rows == "stop":
        faults.raise_all()
    return set(bad)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = _processor_seconds()
    yield
    seconds[step] = round(_processor_seconds() - started, 2)


def _processor_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        # The system adds a child's time only after the child has ended.
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
