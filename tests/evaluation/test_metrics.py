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
    assert value == pytest.approx(np.mean(expected)) if problems else np.isnan(value)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), min_size=1, max_size=20), st.integers(1, 50))
def test_area_is_the_mean_of_the_whole_cap_curve(rows, limit):
    scores = np.array([r[0] for r in rows], dtype=float)
    tokens = np.array([max(r[1], 1) for r in rows], dtype=float)
    curve = metrics.accuracy_at_caps(scores, tokens, range(1, limit + 1))
    assert metrics.area_under_caps(scores, tokens, limit) == pytest.approx(np.mean(curve))


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
    together = metrics.mean_estimate(scores, [str(i % 2) for i in range(100)])
    apart = metrics.mean_estimate(scores, [str(i) for i in range(100)])
    assert together.high - together.low > 3 * (apart.high - apart.low)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        means = rng.beta(2, 2, size=60)  # true mean 0.5, four samples a problem
        scores = (rng.random((60, 4)) < means[:, None]).astype(float).ravel()
        sums = metrics.cluster_sums(
            np.stack([scores, np.ones(240)], axis=1), [str(i) for i in range(60) for _ in range(4)]
        )
        estimate = metrics.bootstrap(sums, metrics.ratio, draws=500)
        hits += estimate.low <= 0.5 <= estimate.high
    assert 0.88 <= hits / 200 <= 0.99


def test_nothing_to_average_is_nan_and_no_error():
    estimate = metrics.mean_estimate(np.array([]), [])
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()


def test_confusion_keeps_missing_verdicts_apart():
    counts = metrics.confusion([True, True, False, False], [True, None, True, None]).as_dict()
    assert counts == {"yes_yes": 1, "yes_no": 0, "yes_none": 1, "no_yes": 1, "no_no": 0, "no_none": 1}
