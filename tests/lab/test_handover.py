"""Gains in solving accuracy at the hand-over, on made curves and on the page."""

import pytest

from benchmarks.lab import dose, handover
from judgerlvr.config.load import ROOT


def page():
    return " ".join((ROOT / "docs" / "when-it-pays.md").read_text().split())


def curve(accuracies, rechecks):
    """A point each tenth step, two of them after judging steps."""
    stages = ["start", "1-judge", "1-judge", "2-generate", "2-generate"]
    return [
        {"step": 10 * index, "stage": stage, "accuracy": accuracy, "rechecks": rechecks}
        for index, (stage, accuracy) in enumerate(zip(stages, accuracies, strict=True))
    ]


@pytest.fixture
def made(monkeypatch):
    """One run that gained .2 while it judged and left, and one that lost .1 and stayed."""
    runs = [
        {"rate": 1e-4, "seed": seed, "curve": curve(*one)}
        for seed, one in enumerate([((0.1, 0.2, 0.3, 0.9, 0.9), 0.0), ((0.1, 0.2, 0.0, 0.5, 0.5), 7.0)])
    ]
    octet = {"cell": "chain-92-05-fresh-9", "arm": {"name": "judge-most"}, "complete": True, "runs": runs}
    files = [dose.RESULTS / record / "octet-judge-most.json" for record in ("2026-11-30-made", "2026-12-01-made")]
    monkeypatch.setattr(dose, "judged", lambda: [(files[0], octet), (files[1], octet | {"runs": runs[1:]})])


def test_a_gain_is_read_at_the_end_of_judging(made):
    assert handover.table()[2:] == ["| 9 | judge-most | +0.200 | -0.100, -0.100 |"]


def test_runs_are_counted_by_the_bound(made):
    assert handover.sentence() == (
        "Of all 3 judge-first runs of chain-92-05, 1 of 1 with a gain of 0.13 and more left, and 0 of 2 with less."
    )


def test_runs_after_the_bound_are_counted_apart(made):
    assert (
        handover.later_sentence() == "Of the 1 runs that came later, 0 of 0 with that gain left, and 0 of 1 with less."
    )


def test_the_page_counts_the_runs():
    assert handover.sentence() in page()


def test_the_page_counts_the_runs_after_the_bound():
    assert handover.later_sentence() in page()


def test_the_page_says_which_figure_sorts_the_runs_less_cleanly():
    """More runs leave below the bound of accuracy than below the bound of facts."""
    by_facts = sum(run.left for run in dose.doses() if run.learnt < 0.25)
    by_accuracy = sum(one.left for one in handover.gains() if one.accuracy < handover.BOUND)
    assert (by_facts < by_accuracy, "Accuracy sorts the runs less cleanly than the facts do" in page()) == (True, True)
