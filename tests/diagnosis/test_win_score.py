"""Whether a case was won, the score of that question against a naive twin, and the page of the committed cases."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.diagnosis_score import constant_chance, foretell, main, score_wins, sentence, table, win_chance
from benchmarks.lab.records import LABEL
from judgerlvr.config.load import ROOT
from judgerlvr.diagnosis.cases import UNITS, Bounds, Case, Outcome, corrected, read_cases
from judgerlvr.diagnosis.prediction import NEAR
from judgerlvr.diagnosis.scoring import why_not_scored

PAGE = (ROOT / "docs" / "diagnosis.md").read_text()
GAINED, SHORTER = Bounds(0.1, 0.09, 0.11), Bounds(0.3, 0.29, 0.31)
MADE = Case("c", "f", "r", "made up", 4, dict.fromkeys(UNITS, 0.0), GAINED, SHORTER, 50.0, 60.0)
# Families of different sizes. Each row is a family, whether its case won, and a place in units.
PLACES = [("a", True, 0), ("a", False, 3), ("a", False, 1), ("b", True, 1), ("b", False, 5), ("c", False, 2)]


def made(family="f", won=True, at=0.0, **changes):
    inputs = {**MADE.inputs, "pass@1": at * UNITS["pass@1"]}
    accuracy = GAINED if won else Bounds(0.0, -0.01, 0.01)
    return replace(MADE, **{"family": family, "inputs": inputs, "accuracy": accuracy, **changes})


def naive_losses(places):
    """Log losses of the prediction and of the constant answer, by family, from families, answers and places alone."""
    losses = []
    for family, won, at in places:
        others = [(w, 1 / (1 + (at - x) ** 2)) for f, w, x in places if f != family]
        constant = (1 + sum(w for w, _ in others)) / (2 + len(others))
        chance = (constant + sum(v for w, v in others if w)) / (1 + sum(v for _, v in others))
        losses.append((family, *(-math.log(p if won else 1 - p) for p in (chance, constant))))
    return losses


def naive_ends(losses):
    """Quantiles of the mean difference over all equally likely draws of families, with replacement."""
    groups = [[ours - theirs for f, ours, theirs in losses if f == family] for family in sorted({r[0] for r in losses})]
    draws = itertools.product(groups, repeat=len(groups))
    return np.quantile([np.mean(list(itertools.chain(*draw))) for draw in draws], [0.025, 0.975], method="inverted_cdf")


def test_a_win_is_won():
    assert MADE.outcome is Outcome.WIN
    assert MADE.won is True


@pytest.mark.parametrize(
    "accuracy", [Bounds(-0.1, -0.15, -0.05), Bounds(0.0, -0.01, 0.01), Bounds(-0.01, -0.1, 0.0149)], ids=str
)
def test_an_upper_bound_below_the_margin_is_not_won(accuracy):
    assert replace(MADE, accuracy=accuracy).won is False


@pytest.mark.parametrize(
    "changes",
    [
        {"accuracy": Bounds(0.0, -0.1, 0.015)},
        {"front_tokens": None},
        {"accuracy": Bounds(-0.1, -0.15, -0.05), "failed_checks": ("entropy",)},
        {"accuracy": Bounds(-0.1, -0.15, -0.05), "pairs": 1},
    ],
    ids=["wide", "no penalty arm", "failed check", "single pair"],
)
def test_other_cases_answer_nothing(changes):
    assert replace(MADE, **changes).won is None


def test_a_small_win_is_won():
    """The rule of a win comes first: a gain may lie below 1.5 points."""
    assert replace(MADE, accuracy=Bounds(0.01, 0.009, 0.011)).won is True


def test_a_win_that_the_correction_takes_away_answers_nothing():
    weak = replace(MADE, accuracy=Bounds(0.1, 0.001, 0.199))
    assert weak.won is True
    assert corrected([weak, weak])[0].won is None


def test_the_score_is_the_naive_one():
    found, losses = score_wins([made(*place) for place in PLACES]), naive_losses(PLACES)
    assert (found.cases, found.predicted, found.families) == (6, 6, 3)
    assert found.loss == pytest.approx(np.mean([ours for _, ours, _ in losses]))
    assert found.constant_loss == pytest.approx(np.mean([theirs for _, _, theirs in losses]))
    assert found.difference.value == pytest.approx(found.loss - found.constant_loss)


def test_the_interval_is_that_of_all_draws_of_families():
    found = score_wins([made(*place) for place in PLACES]).difference
    assert [found.low, found.high] == pytest.approx(list(naive_ends(naive_losses(PLACES))))


def test_cases_without_an_answer_change_nothing():
    cases = [made(*place) for place in PLACES]
    assert score_wins([*cases, made("d", front_tokens=None)]) == score_wins(cases)


def test_a_single_family_foretells_nothing():
    assert foretell([made(), made(won=False)]) == []


def test_without_other_cases_the_chance_is_one_half():
    assert (constant_chance([]), win_chance(MADE.inputs, [])) == (0.5, 0.5)


def test_inputs_that_tell_beat_the_constant_answer():
    cases = [made(family, won, at) for family in "abcd" for won, at in ((True, 0), (False, 9), (True, 1), (False, 10))]
    assert score_wins(cases).difference.high < 0


def test_the_page_has_the_table():
    assert "\n".join(["", *table(read_cases()), ""]) in PAGE


def test_the_page_has_the_score():
    assert sentence(read_cases()) in PAGE


def test_the_page_counts_the_answers():
    answers = [case.won for case in read_cases()]
    silent = answers.count(None)
    assert f"\n{len(answers) - silent} cases answer, and {silent} do not." in PAGE


def test_the_page_has_the_gains_that_answer_nothing():
    cases = [case for case in read_cases() if case.won is None and case.accuracy.low > 0]
    gains, failed = [100 * case.accuracy.mean for case in cases], sum(bool(case.failed_checks) for case in cases)
    told = f"{len(gains)} cases gained {min(gains):.0f} to {max(gains):.0f} points and answer nothing, {failed} of them"
    assert told in PAGE


def test_every_case_that_is_foretold_is_of_the_lab():
    assert {one.case.condition.partition(";")[0] for one in foretell(read_cases())} == {LABEL}


def test_the_page_says_truly_that_the_constant_answer_is_not_beaten():
    found = score_wins(read_cases()).difference
    assert (found.high >= 0) is ("**The prediction does not beat the constant answer.**" in PAGE)


def chances(of_chain):
    found = [one for one in foretell(read_cases()) if one.case.name.startswith("chain-92-05") is of_chain]
    return {round(chance, 2) for one in found for chance in (one.chance, one.constant)}, [one.case.won for one in found]


def test_both_answers_give_wins_and_tie_of_the_chain_the_same_chance():
    assert chances(True) == ({0.24, 0.25}, [True, False, True])
    assert "a chance of a win of .24 to .25, although two won and one tied" in " ".join(PAGE.split())


def test_both_answers_give_the_other_two_cases_about_one_half():
    assert chances(False) == ({0.50, 0.51}, [False, False])


def test_the_page_has_the_largest_move_of_a_chance():
    """Rounded up, since the page says that no chance moves more."""
    largest = max(abs(one.chance - one.constant) for one in foretell(read_cases()))
    assert f"moves more than {math.ceil(1000 * largest) / 1000:.3f} from" in " ".join(PAGE.split())


def test_no_committed_case_lies_in_the_hull_of_the_other_families():
    assert min(one.away for one in foretell(read_cases())) > NEAR


def test_the_ends_of_the_interval_are_the_best_and_the_worst_family():
    rows = [one.losses for one in foretell(read_cases())]
    means = [np.mean([r.loss - r.constant for r in rows if r.family == family]) for family in {r.family for r in rows}]
    found = score_wins(read_cases()).difference
    assert [found.low, found.high] == pytest.approx([min(means), max(means)])


def test_the_command_prints_the_table_the_score_and_the_refusal(capsys):
    main([])
    printed = capsys.readouterr().out
    assert "\n".join([*table(read_cases()), "", sentence(read_cases())]) in printed
    assert f"Win, tie or loss: {why_not_scored(read_cases())}" in printed
