"""One word and one colour a meaning: truncated responses, unterminated boxes, right answers, faults."""

from dataclasses import replace

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.reporting.arms import find_arms, looks_of
from judgerlvr.reporting.browser import entries_of
from judgerlvr.reporting.curves import ACCURACY_AND_LENGTH, reason_figures, reason_looks
from judgerlvr.reporting.facts import runs_table
from judgerlvr.reporting.grading import reason_tables
from judgerlvr.reporting.lengths import length_table
from judgerlvr.reporting.page import render_page
from judgerlvr.reporting.parts import number
from judgerlvr.reporting.plotting import RIGHT, WRONG
from judgerlvr.reporting.runs import read_run
from judgerlvr.reporting.side_by_side import examples
from judgerlvr.reporting.words import OUTCOMES, REASONS
from judgerlvr.runs.metrics import METRICS, append_row
from tests.helpers.report_runs import write_run, write_synthetic_evaluation
from tests.helpers.run_folders import step_row

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()


@pytest.fixture
def run(tmp_path):
    """A run with an evaluation, in which each wrong solution has an unterminated box, and each first one is cut."""
    folder = tmp_path / "judge"
    write_run(folder, "judge", 2, 0.5, 0.6, export=None)
    append_row(folder / METRICS, step_row(3, "judge", more={"reason/truncated": 2.0, "reason/wrong": 1.0}))
    write_synthetic_evaluation(folder / "eval" / "final", 0.5, 0.8, 50, problems=4)
    path = folder / "eval" / "final" / "samples.jsonl"
    path.write_text(path.read_text().replace('"reason": "wrong"', '"reason": "truncated"'))
    found = read_run(folder)
    result = replace(found.evaluations[0].results[0], reasons={"correct": 1, "truncated": 2})
    return replace(found, evaluations=[replace(found.evaluations[0], results=[result])])


def test_the_reason_of_an_unterminated_box_is_not_called_truncated(run):
    arms = find_arms([run])
    heads = [name for table in reason_tables(arms) for name in table.head]
    assert "unterminated box" in heads and "truncated" not in heads


def test_figures_of_reasons_name_the_unterminated_box(run):
    assert "unterminated box: from" in next(reason_figures([run])).summary


def test_lengths_by_outcome_name_truncated_responses_that_are_not_correct(run):
    head = next(length_table(find_arms([run]))).head
    assert "truncated, not correct" in head and "truncated" not in head


def test_the_browser_keeps_reason_and_outcome_apart(run):
    entries = entries_of(find_arms([run]), [run])
    pairs = {(entry.reason, entry.outcome) for entry in entries if entry.reason != "correct"}
    assert pairs == {("unterminated box", "truncated, not correct"), ("unterminated box", "wrong")}


def test_responses_side_by_side_name_the_unterminated_box(run):
    shown = [column.verdict.text for example in examples(find_arms([run]), "generate") for column in example.columns]
    assert set(shown) <= {"correct", "unterminated box"}


def test_lengths_of_training_say_that_correct_samples_are_among_the_truncated():
    curve = next(curve for curve in ACCURACY_AND_LENGTH if curve.title == "Length of truncated responses")
    assert curve.caption == "Samples that were truncated, correct samples too."


@pytest.mark.parametrize("word", [*REASONS.values(), *OUTCOMES.values()])
def test_the_glossary_has_the_words_of_the_page(word):
    assert word in " ".join(GLOSSARY.lower().split())


@pytest.mark.parametrize("page", ["evaluation.md", "rewards.md"])
def test_pages_leave_the_meaning_of_truncated_to_the_glossary(page):
    text = (ROOT / "docs" / page).read_text()
    assert "glossary.md" in text and "truncated means" not in text.lower()


def test_correct_and_wrong_have_the_colours_of_such_answers_in_figures_of_reasons(run):
    looks = reason_looks([run])
    assert (looks["correct"].colour, looks["wrong"].colour) == (RIGHT, WRONG)


def test_a_reason_has_one_look_in_the_figures_of_all_runs(run, tmp_path):
    write_run(tmp_path / "other", "generate", 2, 0.5, 0.6)
    other = read_run(tmp_path / "other")
    looks = reason_looks([other, run])
    assert looks == reason_looks([run, other]) and len({look.place for look in looks.values()}) == len(looks)


def test_no_arm_has_a_colour_with_a_meaning_of_its_own(run):
    assert not any(looks_of([run]).of(name).own for name in ("base", "after judge", "JudgeRLVR", "vanilla", "other"))


def test_the_page_draws_correct_in_the_colour_of_correct_answers(run):
    assert "var(--right)" in next(reason_figures([run])).svg and 'class="right"' in render_page([run])


def test_a_fault_of_a_run_has_not_the_colour_of_wrong_answers(run):
    failed = replace(run, status=replace(run.status, cause="guard"))
    tones = {cell.tone for cell in [runs_table([failed]).rows[0][1], number(float("nan"))]}
    assert tones == {"fault"}
