"""The claims on the dose of judging, on the page and in the README, against every committed judge-first run."""

import pytest

from benchmarks.lab import dose, handover, pages
from benchmarks.lab.cells import setting_of
from benchmarks.lab.checks import LAST
from judgerlvr.config.load import ROOT

BOUND = 0.25
NUMBERS = {4: "four"}


def page(name="docs/when-it-pays.md"):
    return " ".join((ROOT / name).read_text().split())


def cells():
    return sorted({setting_of(octet["cell"]) for _, octet in dose.judged()})


def taught(cell):
    """Whether each run that had learnt enough left the rechecks."""
    return [run.left for run in dose.doses(cell) if run.learnt >= BOUND]


@pytest.mark.parametrize("cell", cells())
def test_a_cell_that_tests_the_bound_has_its_table_on_the_page(cell):
    """A counter-example was left out."""
    assert not taught(cell) or cell in pages.DOSES


@pytest.mark.parametrize(("cell", "most"), [("twin-92-05", ".16"), ("gate-a-05", ".21")])
def test_the_page_has_the_most_that_was_learnt_in_the_other_cells(cell, most):
    learnt = max(run.learnt for run in dose.doses(cell))
    assert (f"{learnt:.2f}"[1:], any(run.left for run in dose.doses(cell))) == (most, False)
    assert set(cells()) == {*pages.DOSES, "twin-92-05", "gate-a-05"}
    assert "No run of the twin or of gate-a-05 had learnt .25: at most .16 and .21." in page()


def test_the_page_counts_the_runs_that_broke_the_bound():
    left = taught("chain-95-05")
    assert f"**In chain-95-05 the bound failed, in {left.count(False)} of {len(left)} runs.**" in page()


def test_the_page_counts_the_upper_side_over_the_other_chain_cells():
    left = [away for cell in pages.DOSES[1:] for away in taught(cell)]
    assert f"**Over both other chain cells, {sum(left)} of {len(left)} runs from .25 on left.**" in page()


def test_the_page_has_the_four_runs_that_stayed():
    runs = [run for run in dose.doses("chain-95-05") if run.learnt >= BOUND]
    learnt = sorted(f"{run.learnt:.3f}"[1:] for run in runs)
    assert {run.rate for run in runs} == {1e-4}
    assert f"all at the rate 1e-4: {learnt[0]} to {learnt[-1]}. None left" in page()


def test_three_of_the_four_runs_would_solve_better_without_rechecks():
    octet = next(octet for _, octet in dose.judged() if octet["cell"] == "chain-95-05")
    last = [run["curve"][-LAST:] for run in octet["runs"] if run["rate"] == 1e-4]
    without, free = (
        [round(sum(point[name] for point in points) / LAST, 2) for points in last]
        for name in ("none_accuracy", "accuracy")
    )
    assert (without, free) == ([0.71, 0.52, 0.80, 0.72], [0.62, 0.65, 0.63, 0.63])
    assert "ended at .71 to .80, and at .62 to .63 with the rechecks" in page()
    assert "In the fourth run rechecks still paid: .65, and .52 without." in page()


def test_the_readme_counts_the_runs_that_were_taught_and_show_no_gain():
    left = taught("chain-95-05")
    assert not any(left)
    assert f"{NUMBERS[len(left)]} runs had been taught as much and show no gain: +1.1 points [-3.4, 5.5]." in page(
        "README.md"
    )


def left_at(rate, *cells):
    runs = [run for cell in cells for run in dose.doses(cell) if run.arm == "judge-20" and run.rate == rate]
    return f"{sum(run.left for run in runs)} of {len(runs)}"


def test_the_page_counts_twenty_steps_at_the_lower_rate():
    few, enough = (left_at(5e-5, cell) for cell in ("chain-92-05", "chain-92-15"))
    assert f"too few in chain-92-05, where {few} runs left" in page()
    assert f"In chain-92-15 twenty steps at 5e-5 were enough in {enough}." in page()


def test_the_advice_to_judge_until_solving_improves_names_the_cell_without_it():
    runs = [run for run in dose.doses("chain-95-05") if run.learnt >= BOUND]
    pairs = list(zip(dose.doses("chain-95-05"), handover.gains("chain-95-05"), strict=True))
    gained = sorted(f"{gain.accuracy:.3f}"[1:] for run, gain in pairs if run.learnt >= BOUND)
    assert (len(runs), any(run.left for run in runs)) == (4, False)
    assert f"the four runs that had learnt .25 gained {gained[0]} to {gained[-1]}, and none left" in page()
