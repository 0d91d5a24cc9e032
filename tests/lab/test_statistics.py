"""The map's statistics against naive twins and published values."""

import itertools
import math

import numpy as np
import pytest

from benchmarks.lab.map import tokens_of_front
from benchmarks.lab.pairs import View, best_rate, penalty_front, shortening, tokens_at
from benchmarks.lab.statistics import (
    Comparison,
    Estimate,
    Outcome,
    estimate,
    front_tokens,
    holm,
    outcome,
    outcomes,
    sign_flip,
)


def test_interval_of_a_literal_sample():
    made = estimate([0.01, 0.03, 0.02, 0.04])
    reach = 3.1824 * math.sqrt(0.0005 / 3) / 2
    assert (made.low, made.high) == pytest.approx((0.025 - reach, 0.025 + reach), abs=1e-5)


def test_one_pair_bounds_nothing():
    assert estimate([0.3]).low == -math.inf


@pytest.mark.parametrize(
    "differences", [[0.1 + 0.2, 0.3], [0.3] * 3, [1e-17, 0.0, -1e-17], [-0.1 - 0.2, -0.3]], ids=str
)
def test_pairs_that_only_rounding_tells_apart_bound_nothing(differences):
    """Two pairs of .3 were above zero for sure."""
    found = estimate(differences)
    assert (found.low, found.high, found.p_above, found.p_below) == (-math.inf, math.inf, 0.5, 0.5)


def test_a_spread_in_the_last_recorded_digit_is_a_spread():
    assert math.isfinite(estimate([0.00001, 0.00002]).low)


def naive_sign_flip(differences):
    """Each change of signs written out, and counted in whole thousandths."""
    whole = [round(1000 * one) for one in differences]
    flips = list(itertools.product((1, -1), repeat=len(whole)))
    reached = [sum(sign * one for sign, one in zip(flip, whole, strict=True)) >= sum(whole) for flip in flips]
    return sum(reached) / len(flips)


@pytest.mark.parametrize("seed", range(5))
def test_the_sign_flip_is_its_naive_twin(seed):
    """Rounded differences make ties, which count."""
    differences = list(np.round(np.random.default_rng(seed).normal(0.1, 0.2, 7), 1))
    assert sign_flip(differences) == pytest.approx(naive_sign_flip(differences))


@pytest.mark.parametrize(
    ("differences", "expected"), [([0.1] * 4, 1 / 16), ([0.1 + 0.2, -0.3], 0.75), ([-0.1, -0.2], 1.0)], ids=str
)
def test_literal_sign_flips(differences, expected):
    """Of the signs of .3 and -.3 three of four reach a sum of 0, whatever the rounding."""
    assert sign_flip(differences) == expected


def naive_holm(p_values):
    adjusted = []
    for p in p_values:
        smaller = [q for q in p_values if q <= p]
        adjusted.append(max(min(1.0, q * (len(p_values) - sum(r < q for r in p_values))) for q in smaller))
    return adjusted


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_its_naive_twin(seed):
    p_values = list(np.random.default_rng(seed).random(9) ** 3)
    assert holm(p_values) == pytest.approx(naive_holm(p_values))


def naive_front(front, accuracy):
    """The cheapest of many mixtures of two points that reaches the accuracy."""
    best = math.inf
    for (a, s), (b, t) in itertools.product(front, front):
        for share in np.linspace(0, 1, 2001):
            if share * a + (1 - share) * b >= accuracy - 1e-12:
                best = min(best, share * s + (1 - share) * t)
    return best


@pytest.mark.parametrize("seed", range(4))
def test_front_is_its_naive_twin(seed):
    draw = np.random.default_rng(seed)
    front = [(float(a), float(t)) for a, t in zip(draw.random(5), 40 + 60 * draw.random(5), strict=True)]
    for accuracy in (0.05, 0.4, 0.7):
        assert front_tokens(front, accuracy) == pytest.approx(naive_front(front, accuracy), rel=2e-3)


def test_no_mixture_reaches_more_than_the_best_point():
    assert front_tokens([(0.5, 40.0), (0.8, 90.0)], 0.81) == math.inf


def around(mean, reach, p=0.001):
    above, below = (p, 1 - p) if mean > 0 else (1 - p, p)
    return Estimate(mean, mean - reach, mean + reach, above, below, 4)


DECIDED = {
    Outcome.WIN: Comparison(around(0.05, 0.02), around(0.4, 0.1), 0.8, 50.0, 60.0),
    Outcome.LOSS: Comparison(around(-0.05, 0.02), around(0.4, 0.1), 0.7, 50.0, 60.0),
    Outcome.TIE: Comparison(around(0.002, 0.01, 0.3), around(0.01, 0.03, 0.3), 0.7, 50.0, 49.0),
    Outcome.UNDECIDED: Comparison(around(0.05, 0.06, 0.04), around(0.4, 0.1), 0.7, 50.0, 60.0),
}


@pytest.mark.parametrize("expected", DECIDED)
def test_outcome(expected):
    assert outcomes([DECIDED[expected]]) == [expected]


def test_a_front_with_fewer_tokens_denies_the_win():
    won = DECIDED[Outcome.WIN]
    assert outcomes([Comparison(won.accuracy, won.shortening, 0.8, 50.0, 49.0)]) == [Outcome.UNDECIDED]


def test_holm_over_cells_denies_a_narrow_win():
    narrow = Comparison(around(0.05, 0.04, 0.02), around(0.4, 0.1), 0.8, 50.0, 60.0)
    assert outcomes([narrow]) == [Outcome.WIN]
    assert outcomes([narrow] * 12) == [Outcome.UNDECIDED] * 12


def curve(*points):
    return [{"accuracy": accuracy, "tokens": tokens} for accuracy, tokens in points]


def test_tokens_are_read_where_the_curve_last_rises_through_the_level():
    rising = curve((0.1, 40), (0.5, 80), (0.3, 60), (0.7, 100), (0.9, 90), (0.9, 90), (0.9, 90))
    assert tokens_at(rising, 0.5, View("free")) == pytest.approx(80.0)


def test_shortening_compares_at_the_weaker_ends_accuracy():
    strong = curve((0.2, 40), (0.4, 50), (0.8, 70), (0.8, 70), (0.8, 70))
    weak = curve((0.2, 40), (0.3, 60), (0.6, 90), (0.6, 90), (0.6, 90))
    assert shortening(strong, weak) == pytest.approx(math.log(90 / 60))


def test_best_rate_is_that_of_the_higher_mean_end():
    def run(rate, seed, accuracy):
        return {"rate": rate, "seed": seed, "curve": curve((0.1, 40), *[(accuracy, 50)] * 3)}

    assert best_rate({"runs": [run(1e-4, 0, 0.9), run(1e-4, 1, 0.2), run(5e-5, 0, 0.6), run(5e-5, 1, 0.6)]}) == 5e-5


def test_nothing_wins_before_a_penalty_arm_has_run():
    run = {"rate": 1e-4, "seed": 0, "curve": [{"accuracy": 0.5, "tokens": 60.0}]}
    vanilla = {"vanilla": {"runs": [run]}}
    assert math.isnan(tokens_of_front(vanilla, 0.5))
    assert tokens_of_front(vanilla | {"penalty-low": {"runs": [run]}}, 0.5) == 60.0
    gain = estimate([0.3, 0.31, 0.32, 0.33])
    assert outcome(Comparison(gain, gain, 0.9, 40.0, math.nan), 0.0, 1.0) is Outcome.UNDECIDED
    assert outcome(Comparison(gain, gain, 0.9, 40.0, math.inf), 0.0, 1.0) is Outcome.WIN


@pytest.mark.parametrize(("at_entropy", "expected"), [((0.1, 0.11), Outcome.WIN), ((-0.1, 0.3), Outcome.UNDECIDED)])
def test_a_win_may_also_need_the_accuracy_at_matched_entropy(at_entropy, expected):
    gain = estimate([0.3, 0.31, 0.32, 0.33])
    assert outcome(Comparison(gain, gain, 0.9, 40.0, math.inf, estimate(at_entropy)), 0.0, 1.0) is expected


@pytest.mark.parametrize(
    ("points", "tokens", "expected"),
    [
        (0.0149, math.log(1.069), Outcome.TIE),
        (0.0151, math.log(1.069), Outcome.UNDECIDED),
        (0.0149, math.log(1.071), Outcome.UNDECIDED),
    ],
)
def test_a_tie_is_within_1_5_points_and_7_percent(points, tokens, expected):
    assert outcomes([Comparison(around(0.0, points, 0.5), around(0.0, tokens, 0.5), 0.7, 50.0, 49.0)]) == [expected]


@pytest.mark.parametrize(
    ("points", "tokens", "expected"),
    [
        (-0.0149, math.log(1 / 1.069), Outcome.TIE),
        (-0.0151, math.log(1 / 1.069), Outcome.UNDECIDED),
        (-0.0149, math.log(1 / 1.071), Outcome.UNDECIDED),
    ],
)
def test_a_tie_is_bounded_below_too(points, tokens, expected):
    """The upper bounds are .01 above zero, well within both margins."""
    accuracy, shortening = (Estimate((low + 0.01) / 2, low, 0.01, 0.5, 0.5, 4) for low in (points, tokens))
    assert outcomes([Comparison(accuracy, shortening, 0.7, 50.0, 49.0)]) == [expected]


def loss_of_three_pairs():
    """Student's t is -sqrt(27). With two degrees of freedom p is 1 - sqrt(27 / 29) on both sides, which is .0351."""
    return Comparison(estimate([-0.02, -0.03, -0.04]), around(0.4, 0.1), 0.7, 50.0, 60.0)


def test_the_p_value_of_a_loss_is_worked_out_by_hand():
    assert loss_of_three_pairs().p_loss == pytest.approx(0.0351, abs=1e-5)


def test_a_loss_between_3_and_5_percent_is_a_loss():
    assert outcomes([loss_of_three_pairs()]) == [Outcome.LOSS]


def test_holm_over_two_cells_denies_a_narrow_loss():
    """Holm makes .0702 of the two-sided value, and would make .0351 of the one-sided value."""
    assert outcomes([loss_of_three_pairs()] * 2) == [Outcome.UNDECIDED] * 2


def test_a_loss_needs_the_two_sided_p_value():
    """A p value of .03 below zero is .06 on both sides."""
    behind = Comparison(around(-0.05, 0.02, 0.03), around(0.4, 0.1), 0.7, 50.0, 60.0)
    assert behind.p_loss == pytest.approx(0.06)
    assert outcomes([behind]) == [Outcome.UNDECIDED]


def test_the_front_has_the_rate_that_is_less_accurate_and_shorter():
    runs = [(1e-4, 0.8, 60.0), (5e-5, 0.6, 40.0)]
    octet = {"runs": [{"rate": rate, "seed": 1, "curve": curve((a, t))} for rate, a, t in runs]}
    assert sorted(penalty_front({"vanilla": octet, "judge-20": octet})) == [(0.6, 40.0), (0.8, 60.0)]
