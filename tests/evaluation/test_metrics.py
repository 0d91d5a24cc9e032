"""Each estimator against a naive twin."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.balanced_accuracy import balanced_accuracy
from judgerlvr.evaluation import metrics

SCORES = st.lists(st.booleans(), min_size=1, max_size=7)


def naive_pass_at_k(scores, k):
    subsets = list(combinations(scores, k))
    return sum(any(subset) for subset in subsets) / len(subsets)


@given(st.lists(SCORES, min_size=1, max_size=4), st.integers(1, 4))
def test_pass_at_k_equals_the_average_over_all_subsets(problems, k):
    problems = [scores for scores in problems if len(scores) >= k]
    clusters = [str(i) for i, scores in enumerate(problems) for _ in scores]
    flat = np.array([s for scores in problems for s in scores], dtype=float)
    value = metrics.pass_at_k(flat, clusters, k).value
    expected = [naive_pass_at_k(scores, k) for scores in problems]
    assert value == pytest.approx(np.mean(expected), abs=1e-9) if problems else np.isnan(value)


def test_problems_weigh_the_same_whatever_their_number_of_samples():
    assert metrics.accuracy(np.array([1.0, 0.0, 0.0, 0.0]), ["a", "b", "b", "b"]).value == 0.5


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([True, False, None])), max_size=30))
def test_balanced_accuracy_is_the_mean_of_the_two_recalls(pairs):
    columns = metrics.verdict_columns([p[0] for p in pairs], [p[1] for p in pairs])
    got = float(balanced_accuracy(columns.sum(axis=0)))
    recalls = []
    for label in (True, False):
        said = [verdict == label and verdict is not None for known, verdict in pairs if known == label]
        recalls.append(np.mean(said) if said else np.nan)
    assert got == pytest.approx(np.mean(recalls), nan_ok=True)


def test_bootstrap_equals_a_loop_over_resampled_clusters():
    sums = np.array([[1.0, 4.0], [4.0, 4.0], [0.0, 4.0], [3.0, 4.0], [2.0, 4.0]])
    estimate = metrics.bootstrap(sums, metrics.ratio, draws=4000)
    rng = np.random.default_rng(1)
    loop = [np.divide(*sums[rng.integers(0, 5, 5)].sum(axis=0)) for _ in range(4000)]
    assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(loop, [0.025, 0.975])), abs=0.03)


def test_interval_widens_when_samples_of_a_problem_agree():
    scores = np.tile([1.0, 0.0], 50)
    together = metrics.accuracy(scores, [str(i % 2) for i in range(100)])
    apart = metrics.accuracy(scores, [str(i) for i in range(100)])
    assert together.high - together.low > 3 * (apart.high - apart.low)


@pytest.mark.parametrize("problems", [5, 60])
def test_a_perfect_judge_has_an_interval_of_positive_width(problems):
    columns = metrics.verdict_columns([True, False] * problems, [True, False] * problems)
    sums = metrics.cluster_sums(columns, [str(i // 2) for i in range(2 * problems)])
    estimate = metrics.balanced_accuracy_interval(sums)
    assert estimate.value == estimate.high == 1.0
    assert estimate.low == pytest.approx(problems / (problems + 1.959964**2))


def test_balanced_accuracy_of_a_rare_class_is_as_uncertain_as_the_class():
    """100 problems with three wrong solutions are worth twelve samples and not a hundred."""
    labels = [True] * 97 + [False] * 3
    sums = metrics.cluster_sums(metrics.verdict_columns(labels, labels), [str(i) for i in range(100)])
    assert metrics.balanced_accuracy_interval(sums).low < 0.8


def test_nothing_to_average_is_nan_and_no_error():
    estimate = metrics.accuracy(np.array([]), [])
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()


def test_confusion_keeps_missing_verdicts_apart():
    counts = metrics.confusion([True, True, False, False], [True, None, True, None]).as_dict()
    assert counts == {"yes_yes": 1, "yes_no": 0, "yes_none": 1, "no_yes": 1, "no_no": 0, "no_none": 1}
