"""Hours of runs that trained side by side are marked, since they are longer than the hours of each run alone."""

import pytest

from judgerlvr.reporting.arms import find_arms, looks_of
from judgerlvr.reporting.cost import arm_costs, run_costs
from judgerlvr.reporting.curves import NOT_COMPARABLE_STEPS, curve_groups
from judgerlvr.reporting.facts import runs_table
from judgerlvr.reporting.parts import Note
from judgerlvr.reporting.runs import read_run
from judgerlvr.reporting.same_time import NOT_COMPARABLE, beside
from tests.helpers.report_runs import write_run, write_synthetic_evaluation

# Seconds of the runs are 20 a step.
JUDGE, GENERATE, VANILLA = ("judge", 3, "10:00:00"), ("generate", 3, "10:01:30"), ("vanilla", 6, "10:00:30")


@pytest.fixture
def runs(tmp_path):
    """Runs of these (name, steps, start), the generate run from the judge."""

    def make(*wanted, device="cpu", day="2026-11-30T{}+00:00"):
        for name, steps, start in wanted:
            parent = {"path": "ckpt/judge", "run": "judge", "hash": "a" * 64} if name == "generate" else None
            stage, started = ("judge" if name == "judge" else "generate"), day.format(start)
            write_run(tmp_path / name, stage, steps, 0.5, 0.6, parent, started=started, device=device)
            write_synthetic_evaluation(tmp_path / name / "eval" / "final", 0.5, 0.8, 50, problems=2)
        return [read_run(tmp_path / name) for name, *_ in wanted]

    return make


def details(table, head):
    return {row[0].text: row[list(table.head).index(head)].detail for row in table.rows}


def names(run, runs):
    return [other.name for other in beside(run, runs)]


def test_vanilla_trained_beside_both_stages_and_the_stages_one_after_the_other(runs):
    found = runs(JUDGE, GENERATE, VANILLA)
    assert [names(run, found) for run in found] == [["vanilla"], ["vanilla"], ["judge", "generate"]]


def test_runs_one_after_the_other_are_not_marked(runs):
    found = runs(JUDGE, GENERATE, ("vanilla", 6, "10:02:30"))
    assert set(details(run_costs(found), "training (hours)").values()) == {""}


@pytest.mark.parametrize("head", ["training (hours)", "device time (hours)"])
def test_hours_of_runs_side_by_side_name_the_other_run(runs, head):
    found = details(run_costs(runs(JUDGE, VANILLA)), head)
    assert found == {"judge": "not comparable: beside vanilla", "vanilla": "not comparable: beside judge"}


def test_seconds_of_runs_side_by_side_name_the_other_run(runs):
    found = details(runs_table(runs(JUDGE, VANILLA)), "training (seconds)")
    assert found["judge"] == "not comparable: beside vanilla"


def test_hours_of_an_arm_are_marked_where_its_first_stage_had_another_run_beside(runs):
    """Vanilla ended before the generate stage began."""
    found = runs(JUDGE, GENERATE, ("vanilla", 2, "10:00:30"))
    marks = details(next(arm_costs(find_arms(found), found)), "device time (hours)")
    assert marks["JudgeRLVR"] == "not comparable: beside vanilla"


def test_the_tables_of_hours_say_what_a_mark_means(runs):
    found = runs(JUDGE, VANILLA)
    assert NOT_COMPARABLE in run_costs(found).note and NOT_COMPARABLE in next(arm_costs(find_arms(found), found)).note


def test_runs_on_gpus_are_not_marked(runs):
    found = runs(JUDGE, VANILLA, device="gpu")
    assert [beside(run, found) for run in found] == [[], []]


@pytest.mark.parametrize("day", ["", "yesterday {}"])
def test_a_run_without_a_known_start_is_not_marked(runs, day):
    found = runs(JUDGE, VANILLA, day=day)
    assert [beside(run, found) for run in found] == [[], []]


def test_a_start_without_a_zone_is_read_as_utc(runs):
    found = runs(JUDGE, VANILLA, day="2026-11-30T{}")
    assert names(found[0], found) == ["vanilla"]


@pytest.mark.parametrize(("vanilla", "said"), [(VANILLA, True), (("vanilla", 6, "10:02:30"), False)])
def test_figures_of_seconds_say_that_runs_were_side_by_side(runs, vanilla, said):
    found = runs(JUDGE, vanilla)
    group = next(group for group in curve_groups(found, looks_of(found)) if group.title == "Speed and memory")
    assert (Note(NOT_COMPARABLE_STEPS) in group.parts) is said
