"""Two evaluations that were not made alike are stamped wherever the report pairs the two."""

import pytest

from judgerlvr.evaluation.conditions import CONDITIONS
from judgerlvr.evaluation.run import Settings
from judgerlvr.reporting.arms import find_arms
from judgerlvr.reporting.budgets import answer_notes, condition_stamps, matched_table
from judgerlvr.reporting.changes import changes_table
from judgerlvr.reporting.page import render_page
from judgerlvr.reporting.runs import read_run
from judgerlvr.sampling.decoding import Decoding
from tests.helpers.report_runs import write_run, write_synthetic_evaluation

ALIKE = Settings(Decoding(n=4, max_tokens=128))
OTHER = {
    "limit": Settings(Decoding(n=4, max_tokens=256)),
    "n": Settings(Decoding(n=2, max_tokens=128)),
    "decoding": Settings(Decoding(n=4, max_tokens=128, top_p=0.5)),
    "verifier": Settings(Decoding(n=4, max_tokens=128), extraction="lenient"),
}


def two_runs(folder, settings):
    """JudgeRLVR and vanilla at equal steps. ``settings`` are those of the evaluation of vanilla."""
    judged, vanilla = folder / "judged", folder / "vanilla"
    write_run(folder / "judge", "judge", 2, 0.4, 0.5)
    write_run(judged, "generate", 2, 0.4, 0.9, {"path": "x", "run": "judge", "hash": "a" * 64})
    write_run(vanilla, "generate", 4, 0.4, 0.8)
    write_synthetic_evaluation(judged / "eval" / "final", 0.9, 0.5, 40, 1, settings=ALIKE)
    write_synthetic_evaluation(vanilla / "eval" / "final", 0.8, 0.5, 50, 2, settings=settings)
    return [read_run(path) for path in (folder / "judge", judged, vanilla)]


def texts(table):
    return " ".join(f"{cell.text} {cell.detail}" for row in table.rows for cell in row)


@pytest.mark.parametrize("name", OTHER)
def test_a_condition_that_differs_stamps_page_sentence_and_both_tables(tmp_path, name):
    runs = two_runs(tmp_path, OTHER[name])
    arms, stamp = find_arms(runs), f"DIFFERENT {name.upper()}"
    assert name in CONDITIONS
    assert any(note.stamp and stamp in note.text for note in condition_stamps(arms))
    assert any(note.stamp and stamp in note.text for note in answer_notes(arms))
    assert stamp in texts(matched_table(arms)) and stamp in texts(next(changes_table(arms)))
    assert f"JudgeRLVR against vanilla, sampled: {stamp}" in render_page(runs)


def test_evaluations_made_alike_have_no_stamp(tmp_path):
    runs = two_runs(tmp_path, ALIKE)
    assert list(condition_stamps(find_arms(runs))) == [] and "DIFFERENT" not in render_page(runs)
