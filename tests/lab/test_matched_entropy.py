"""Matched entropy on literal curves, and the condition of a win that rests on it, through the map's comparison."""

import math

import pytest

from benchmarks.lab import decoded
from benchmarks.lab.evaluation import TEMPERATURES
from benchmarks.lab.map import CellResults, compare, percent, points
from benchmarks.lab.pairs import at_entropy, matched_entropy
from benchmarks.lab.statistics import Outcome, outcomes
from judgerlvr.config.load import ROOT

# (entropy, accuracy, tokens) at each temperature, from the lowest. The fourth is temperature 1.
MINE = [(0.1, 0.8, 40), (0.2, 0.7, 50), (0.3, 0.6, 60), (0.5, 0.5, 80), (0.9, 0.3, 120)]
THEIRS = [(0.3, 0.6, 60), (0.4, 0.55, 70), (0.5, 0.5, 80), (0.7, 0.4, 100), (1.1, 0.2, 140)]
PREFIXES = [*(f"t{temperature}_" for temperature in TEMPERATURES[:3]), "", f"t{TEMPERATURES[3]}_"]


def curve(measured, shift=0.0):
    """Three last evaluations with ``measured`` as their mean, and an earlier one that does not count."""
    return [
        {
            prefix + name: value + add
            for prefix, values in zip(PREFIXES, measured, strict=True)
            for name, value in zip(("entropy", "accuracy", "tokens"), values, strict=True)
        }
        for add in (9.0, shift - 0.01, shift, shift + 0.01)
    ]


@pytest.mark.parametrize(
    ("target", "expected"),
    [(0.2, (0.7, 50)), (0.4, (0.55, 70)), (0.8, (0.35, 110)), (0.05, (0.8, 40)), (2.0, (0.3, 120))],
    ids=["measured", "between", "between the last", "below all", "above all"],
)
def test_the_end_at_an_entropy(target, expected):
    assert at_entropy(curve(MINE), target) == pytest.approx(expected)


def test_both_are_read_half_way_between_their_ends():
    """The ends are .5 and .7, so both are read at .6: .45 with 90 tokens, and .35 with 100."""
    steep = [(entropy, accuracy - 0.1, tokens + 10) for entropy, accuracy, tokens in THEIRS]
    points_more, log_tokens = matched_entropy(curve(MINE), curve(steep))
    assert (points_more, log_tokens) == pytest.approx((0.45 - 0.35, math.log(100 / 90)))


def test_exchanged_sides_change_both_signs():
    there, back = matched_entropy(curve(MINE), curve(THEIRS)), matched_entropy(curve(THEIRS), curve(MINE))
    assert back == pytest.approx((-there[0], -there[1]))


def octet(name, accuracy, entropy, settings, seeds=4):
    """Runs that are right in ``accuracy`` at temperature 1, on one line of accuracy over entropy for all octets."""
    runs = []
    for seed in range(seeds):
        level = accuracy + 0.001 * seed * (1 if name == "vanilla" else 2)
        free = {"accuracy": level, "tokens": 100 * (1 - level), "entropy": entropy}
        heated = {
            f"t{t}_{field}": value
            for t, hot in zip(TEMPERATURES, (0.1, 0.2, 0.6, 0.9), strict=True)
            for field, value in {"entropy": hot, "accuracy": 1 - hot, "tokens": 40 + 10 * hot}.items()
        }
        greedy = {f"greedy_{field}": value for field, value in free.items()}
        point = free | heated | greedy | {"rechecks": 2.0, "recheck_agrees": 0.92, "sampled_tokens": 1.0}
        curves = [point | {"step": step, "stage": "1-generate"} for step in range(4)]
        runs.append({"seed": seed, "rate": 1e-4, "curve": curves})
    return {"arm": {"name": name}, "settings": settings, "runs": runs, "candidate_tokens": 0.0, "seconds": 1.0}


def decided(**settings):
    """Judge-20 is far more accurate at temperature 1, since it is surer. At one entropy both are alike."""
    made = {"vanilla": (0.5, 0.5), "judge-20": (0.8, 0.2), "penalty-low": (0.4, 0.6)}
    octets = {name: octet(name, *at, settings) for name, at in made.items()}
    return compare(CellResults("made", [], octets), "judge-20")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, Outcome.WIN), ({"least_entropy": 0.70}, Outcome.WIN), ({"least_entropy": 0.60}, Outcome.UNDECIDED)],
    ids=str,
)
def test_a_smaller_least_entropy_asks_a_win_for_the_accuracy_at_matched_entropy(settings, expected):
    row = decided(**settings)
    assert row.at_entropy[0].low < 0.002
    assert outcomes([row.comparison]) == [expected]


def test_the_map_hands_on_the_accuracy_and_not_the_tokens():
    row = decided(least_entropy=0.60)
    assert row.comparison.at_entropy == row.at_entropy[0]


def winning(number):
    cells = [cell for _, cell in decoded.results() if cell.name == f"chain-92-05-fresh-{number}"]
    (won,) = [row for cell in cells for row in decoded.rows_of(cell) if row.arm == "judge-most"]
    return (*won.greedy, *won.at_entropy)


@pytest.mark.parametrize("number", [10, 12])
def test_both_registered_wins_hold_greedily_and_at_matched_entropy(number):
    """Each lower bound of points is above zero, and each upper bound of tokens below."""
    assert min(estimate.low for estimate in winning(number)) > 0


def test_the_page_has_the_quoted_win_greedily_and_at_matched_entropy():
    greedy, shorter, sharp, short = winning(12)
    page = (ROOT / "docs" / "when-it-pays.md").read_text().replace("+", "")
    for text in (points(greedy), percent(shorter), points(sharp), percent(short)):
        assert text.replace("+", "").replace(" [", " points [" if "%" not in text else " [") in page
