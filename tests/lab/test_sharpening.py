"""Trained runs less their base at equal entropy, on made-up figures and on the committed records."""

import json
import math

import pytest

from benchmarks.lab import measured
from benchmarks.lab.cells import DEMO
from benchmarks.lab.checks import mean_point
from benchmarks.lab.evaluation import COLD_TEMPERATURES, TEMPERATURES
from benchmarks.lab.sharpening import Sampled, at_entropy, base_of, control, controls, sampled
from judgerlvr.config.load import ROOT

# Entropy, temperature, accuracy, tokens: the surer, the more often right.
BASE = [Sampled(0.0, 0.0, 0.9, 40.0), Sampled(0.1, 0.5, 0.6, 50.0), Sampled(0.2, 1.0, 0.4, 60.0)]


def figures(prefix, row):
    return {prefix + name: getattr(row, name) for name in ("entropy", "accuracy", "tokens")}


POINT = figures("greedy_", BASE[0]) | figures("t0.5_", BASE[1]) | figures("", BASE[2])


def test_a_point_is_read_at_each_temperature():
    assert sampled(POINT | {"every_entropy": 0.3}) == BASE


@pytest.mark.parametrize("lacking", ["greedy_entropy", "t0.5_entropy"])
def test_a_point_without_temperatures_is_no_control(lacking):
    assert sampled({name: value for name, value in POINT.items() if name != lacking}) == []


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (0.1, (0.5, 0.6, 50.0)),
        (0.15, (0.75, 0.5, 55.0)),
        (0.02, (0.1, 0.84, 42.0)),
        (0.5, (1.0, 0.4, 60.0)),
    ],
    ids=["measured", "between two", "between greedy and the coldest", "above all"],
)
def test_the_base_at_an_entropy(target, expected):
    found = at_entropy(BASE, target)
    assert (found.temperature, found.accuracy, found.tokens) == pytest.approx(expected)


def curve(entropy, accuracy, tokens):
    """Three evaluations, of which the last two shift by as much in opposite directions."""
    point = {"entropy": entropy, "accuracy": accuracy, "tokens": tokens, "greedy_accuracy": accuracy + 0.1}
    return [{name: value + shift for name, value in point.items()} for shift in (0.0, 0.01, -0.01)]


def test_runs_less_their_base_by_hand():
    """At .15 the base is right in .5 with 55 tokens, at .1 in .6 with 50."""
    found = control([curve(0.15, 0.7, 44.0), curve(0.10, 0.9, 40.0)], BASE)
    assert found.plain.mean == pytest.approx((0.3 + 0.5) / 2)
    assert found.accuracy.mean == pytest.approx((0.2 + 0.3) / 2)
    assert found.tokens.mean == pytest.approx((math.log(55 / 44) + math.log(50 / 40)) / 2)
    assert found.greedy.mean == pytest.approx((-0.1 + 0.1) / 2)
    assert [row.temperature for row in found.matched] == pytest.approx([0.75, 0.5])


def test_a_policy_that_is_only_surer_than_its_base_gains_nothing():
    found = control([curve(row.entropy, row.accuracy, row.tokens) for row in BASE[1:]], BASE)
    assert found.plain.mean == pytest.approx(0.1)
    assert (found.accuracy.mean, found.tokens.mean) == (pytest.approx(0.0), pytest.approx(0.0))


def test_a_newer_record_has_the_mean_of_all_runs(tmp_path):
    other = {name: value + 0.02 for name, value in POINT.items()}
    stored = {"base": POINT, "base_mean": mean_point([POINT, other])}
    (tmp_path / "checks.json").write_text(json.dumps(stored))
    assert base_of(tmp_path)[0].accuracy == pytest.approx(0.91)


def test_a_folder_without_checks_is_no_control(tmp_path):
    assert base_of(tmp_path) == []


def test_a_base_is_measured_colder_than_trained_runs():
    assert max(COLD_TEMPERATURES) < min(TEMPERATURES)


@pytest.fixture(scope="module")
def committed():
    return controls()


def test_every_vanilla_of_the_records_has_a_measured_base(committed):
    vanilla = [at for at, arm, _ in committed if arm == "vanilla"]
    assert len(vanilla) == len(list(measured.RESULTS.rglob("octet-vanilla.json")))


def test_the_page_says_what_sharpening_gains_in_the_records(committed):
    """A base moves by less than its own error where its runs' entropy is. The demo's world is apart."""
    committed = [row for row in committed if row[0][1] != DEMO]
    gained = [sum(row.accuracy for row in c.matched) / len(c.matched) - c.base.accuracy for _, _, c in committed]
    least = min(100 * c.accuracy.low for _, _, c in committed)
    page = (ROOT / "docs" / "when-it-pays.md").read_text()
    assert max(gained) < 0.01
    assert f"the base moves by {100 * min(gained):+.1f} to {100 * max(gained):+.1f} points." in page
    assert f"All {len(committed)} rows have a lower bound of at least {least:.1f} points." in page
