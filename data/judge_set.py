"""The judge set from candidates: label, mixed problems, balance, duplicates, decontamination, held-out problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.balancing import balanced, by_problem, mixed_only, shuffled_labels, split_by_problem, without_duplicates
from data.baselines import baselines
from data.card import Card, mean_characters
from data.decontaminate import check_overlap
from data.labelling import Labelled, Triplet, label_candidates
from data.problems import GradeMany
from data.responses import Candidate
from rewards.errors import InputError


@dataclass(frozen=True)
class JudgeSet:
    """Training triplets in random order, triplets of held-out problems, and the card of both."""

    train: list[Triplet]
    heldout: list[Triplet]
    card: Card


def build_judge_set(
    candidates: Sequence[Candidate],
    *,
    grade_many: GradeMany,
    view: str = "solution",
    lenient: bool = False,
    cap_per_problem: int = 4,
    heldout_problems: int = 0,
    seed: int = 0,
    eval_files: Sequence[Path] = (),
    contamination: str = "stop",
    shuffle_labels: bool = False,
) -> JudgeSet:
    """JudgeRLVR section 2.1 as a pipeline; every step's count goes into the card.

    ``shuffle_labels`` permutes the training labels, never the held-out ones: the control of a learning claim.

    Raises:
        InputError: contaminated problems, or nothing left to judge.
    """
    usable = _decontaminate(candidates, eval_files, contamination)
    labelled = label_candidates(usable, grade_many, view, lenient)
    distinct = without_duplicates(labelled.triplets)
    mixed = mixed_only(distinct)
    kept = balanced(mixed, cap_per_problem, seed)
    train, heldout = split_by_problem(kept, heldout_problems, seed)
    if not train:
        text = f"{len(by_problem(kept))} problems of mixed outcome among {len(by_problem(labelled.triplets))}"
        raise InputError(
            f"nothing to judge: {text}",
            "give candidates that are right for some and wrong for other responses to a problem, "
            "or lower judge.data.heldout_problems",
        )
    counts = {
        "candidates": len(candidates),
        "not in an evaluation set": len(usable),
        "usable (an answer, not cut)": len(labelled.triplets),
        "distinct": len(distinct),
        "mixed problems": len(by_problem(mixed)),
        "of mixed problems": len(mixed),
        "balanced": len(kept),
        "training": len(train),
        "held out": len(heldout),
    }
    settings = {"view": view, "cap per problem": cap_per_problem, "seed": seed, "labels shuffled": shuffle_labels}
    if shuffle_labels:
        train = shuffled_labels(train, seed)
    return JudgeSet(train, heldout, _card(labelled, kept, counts, settings))


def _decontaminate(candidates: Sequence[Candidate], eval_files: Sequence[Path], contamination: str) -> list[Candidate]:
    problems = list({candidate.problem.id: candidate.problem for candidate in candidates}.values())
    clean = {problem.id for problem in check_overlap(problems, eval_files, contamination)}
    return [candidate for candidate in candidates if candidate.problem.id in clean]


def _card(labelled: Labelled, kept: list[Triplet], counts: dict[str, int], settings: dict[str, object]) -> Card:
    agreement = 1 - len(labelled.disagreements) / labelled.compared if labelled.compared else None
    return Card(
        counts=counts,
        dropped=dict(labelled.dropped),
        label_agreement=agreement,
        disagreements=[f"{c.problem.id[:40]} ({c.model})" for c in labelled.disagreements],
        mean_characters=mean_characters(kept),
        baselines=baselines(kept, labelled.triplets),
        settings=settings,
    )
