"""Accuracy at equal sampled tokens, and contrasts and bases, against naive twins."""

import pytest

from benchmarks.lab import between_bases, contrasts, coverage, equal_tokens
from benchmarks.lab.arms import control_arms
from benchmarks.lab.between_bases import Difference, over_bases
from benchmarks.lab.map import CellResults
from benchmarks.lab.statistics import estimate


def curve(*points):
    return [{"sampled_tokens": tokens, "accuracy": accuracy} for tokens, accuracy in points]


ARM, VANILLA = curve((0, 0.1), (10, 0.5), (30, 0.9)), curve((0, 0.1), (20, 0.3), (60, 0.5))


def naive_accuracy(points, tokens):
    """Between the last evaluation before and the first one after."""
    before = [point for point in points if point["sampled_tokens"] <= tokens][-1]
    after = next((point for point in points if point["sampled_tokens"] > tokens), before)
    width = after["sampled_tokens"] - before["sampled_tokens"] or 1
    share = (tokens - before["sampled_tokens"]) / width
    return before["accuracy"] + share * (after["accuracy"] - before["accuracy"])


@pytest.mark.parametrize("tokens", [0, 5, 10, 29, 30])
def test_accuracy_is_its_naive_twin(tokens):
    assert equal_tokens.accuracy_at(ARM, tokens) == pytest.approx(naive_accuracy(ARM, tokens))


def test_a_pair_is_compared_where_the_smaller_count_ends():
    assert equal_tokens.difference(ARM, VANILLA, 0) == pytest.approx(0.9 - 0.35)


def test_candidates_are_spent_before_the_first_step():
    """With 40 tokens of candidates vanilla ends first, and the arm has sampled 20 by then."""
    assert equal_tokens.difference(ARM, VANILLA, 40) == pytest.approx(0.7 - 0.5)


def test_an_arm_that_cannot_pay_its_candidates_stays_at_the_base():
    assert equal_tokens.difference(ARM, VANILLA, 100) == pytest.approx(0.1 - 0.5)


def octet(*accuracies):
    runs = [
        {"seed": seed, "rate": 1e-4, "curve": [{"accuracy": value, "tokens": 50.0}] * 3}
        for seed, value in enumerate(accuracies)
    ]
    return {"runs": runs}


def test_a_contrast_needs_no_vanilla(monkeypatch):
    octets = {"judge-20": octet(0.9, 0.5), "generate-first": octet(0.4, 0.3), "penalty-low": octet(0.1, 0.1)}
    monkeypatch.setattr(contrasts, "results", lambda: [("record", CellResults("cell", [], octets))])
    (line,) = contrasts.table()[2:]
    assert "judge-20 less generate-first" in line
    assert line.endswith("| +50.0, +20.0 |")


def test_every_control_has_a_contrast():
    assert set(contrasts.CONTROLS) == {arm.name for arm in control_arms(120)}


def test_a_base_counts_once():
    """Three pairs of a base and a single pair of another base."""
    group = [Difference("a", value, 0.0) for value in (0.1, 0.2, 0.3)] + [Difference("b", 0.6, 0.0)]
    found, expected = over_bases(group, "accuracy"), estimate([0.2, 0.6])
    assert (found.pairs, found.low, found.high) == (2, pytest.approx(expected.low), pytest.approx(expected.high))


def test_records_of_one_cell_are_one_base_and_pools_are_none(monkeypatch):
    octets = {"judge-20": octet(0.9), "vanilla": octet(0.4)}
    cells = [("first", "w"), ("second", "w"), ("third", "w-fresh-1"), ("both", "w + w-fresh-1")]
    read = [(record, CellResults(name, [], octets)) for record, name in cells]
    monkeypatch.setattr(between_bases, "results", lambda: read)
    (group,) = between_bases.differences().values()
    assert [one.base for one in group] == ["w", "w", "w-fresh-1"]


def test_a_cell_has_run_once_an_arm_of_an_instance_is_complete(tmp_path, monkeypatch):
    monkeypatch.setattr(coverage, "RESULTS", tmp_path)
    for arm, complete in (("vanilla", "false"), ("judge-20", "true")):
        text = f'{{"cell": "twin-92-05-fresh-4", "arm": {{"name": "{arm}"}}, "complete": {complete}, "seconds": 600.5}}'
        (tmp_path / f"octet-{arm}.json").write_text(text)
    assert coverage.state("twin-92-05") == "run: judge-20"
    assert coverage.sentence() == "Of 15 planned cells 1 have run and 14 have not."


def test_an_octet_that_was_cut_counts_in_the_price(tmp_path, monkeypatch):
    monkeypatch.setattr(coverage, "RESULTS", tmp_path)
    assert coverage.price_sentence() == "No octet has run."
    for arm, complete in (("vanilla", "false"), ("judge-20", "true")):
        text = f'{{"cell": "twin-92-05", "arm": {{"name": "{arm}"}}, "complete": {complete}, "seconds": 600.5}}'
        (tmp_path / f"octet-{arm}.json").write_text(text)
    assert coverage.price("twin-92-05") == (2, 1201.0)
    assert coverage.price_sentence() == "2 octets took 1,201 s, 600 s each."


def test_a_base_that_failed_names_its_checks(tmp_path, monkeypatch):
    monkeypatch.setattr(coverage, "RESULTS", tmp_path)
    (tmp_path / "checks.json").write_text('{"cell": "gate-a-05", "checks": [{"name": "any", "passed": false}]}')
    assert coverage.state("gate-a-05") == "no arm has run. Checks of the base that failed: any"
    assert coverage.state("gate-s-05") == "not run"
