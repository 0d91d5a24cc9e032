"""Baselines of the judge: naive twins, and a judge that has learnt a shortcut."""

from __future__ import annotations

import random

import pytest

from data.shortcuts import Judgement, answer_only, class_statistics, length_only, shortcut_statistics


def _rows(seed: int, count: int = 60) -> list[Judgement]:
    rng = random.Random(seed)
    return [
        Judgement(rng.random() < 0.5, rng.choice("abc"), rng.randrange(12), rng.choice([True, False, None]))
        for _ in range(count)
    ]


def _naive_answer_only(rows):
    guesses = []
    for index, row in enumerate(rows):
        others = [other for at, other in enumerate(rows) if at != index]
        same = [other.label for other in others if other.answer == row.answer]
        votes = same if same.count(True) != same.count(False) else [other.label for other in others]
        guesses.append(votes.count(True) > votes.count(False))
    return guesses


def _balanced(rows, guesses):
    shares = []
    for label in (True, False):
        hits = [guess is label for row, guess in zip(rows, guesses, strict=True) if row.label is label]
        shares += [sum(hits) / len(hits)] if hits else []
    return sum(shares) / len(shares)


@pytest.mark.parametrize("seed", range(20))
def test_answer_only_is_leave_one_out_majority(seed):
    rows = _rows(seed)
    assert answer_only(rows) == _naive_answer_only(rows)


@pytest.mark.parametrize("seed", range(20))
def test_length_threshold_of_the_other_half_is_its_best(seed):
    rows = _rows(seed)
    odd = rows[1::2]
    best = max(
        _balanced(odd, [(row.length > cut) is longer for row in odd])
        for cut in range(-1, 12)
        for longer in (True, False)
    )
    # Applying the choice made on the odd half to the odd half itself must reach that optimum.
    mirrored = [row for other in odd for row in (other, other)]
    assert _balanced(odd, length_only(mirrored)[0::2]) == pytest.approx(best)


def test_a_judge_that_goes_by_length_agrees_with_the_length_baseline():
    rng = random.Random(1)
    rows = [Judgement(length < 50, "7", length, length < 50) for length in rng.sample(range(100), 80)]
    statistics = shortcut_statistics(rows)
    assert statistics["length_only/agreement"] > 0.9 > statistics["answer_only/balanced_accuracy"]


def test_missing_verdicts_count_against_their_class():
    rows = [Judgement(True, "", 1, True), Judgement(True, "", 1, None), Judgement(False, "", 1, False)]
    statistics = class_statistics(rows)
    assert (statistics["correct/accuracy"], statistics["correct/no_verdict"], statistics["balanced_accuracy"]) == (
        0.5,
        0.5,
        0.75,
    )


def test_no_rows_give_no_statistics():
    assert class_statistics([]) == {} == shortcut_statistics([])
