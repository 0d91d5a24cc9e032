"""Real files: row counts, and the figures that the published GSM8K solutions must give."""

import pytest

from data.balancing import balanced, by_problem, mixed_only
from data.gsm8k_solutions import convert, main
from data.judge_set import build_judge_set
from data.labelling import label_candidates
from data.problems import read_problems
from data.responses import read_responses
from data.row_files import read_rows
from judgerlvr.make_judge_data import main as make_judge_data
from rewards.grading.pool import GraderPool

COUNTS = {"gsm8k-test": 1319, "math500": 500, "aime24": 30, "svamp": 1000}


@pytest.fixture(scope="module")
def grade_many():
    with GraderPool(workers=2, mode="lenient") as pool:
        yield pool.grade_many


@pytest.fixture
def solutions(test_data, tmp_path):
    out = tmp_path / "candidates.jsonl"
    assert main([str(test_data / "labelled-responses" / "gsm8k-solutions-660.jsonl"), str(out)]) == 0
    return out


@pytest.mark.parametrize("name", COUNTS)
def test_evaluation_set_reads_whole(test_data, name):
    problems = read_problems(test_data / "eval" / f"{name}.jsonl")
    assert len(problems) == COUNTS[name]
    assert all(problem.text and problem.gold for problem in problems)


def test_labels_agree_and_counts_are_the_known_ones(solutions, grade_many):
    labelled = label_candidates(read_responses(solutions), grade_many, lenient=True)
    kept = balanced(mixed_only(labelled.triplets), 0, 0)
    assert labelled.compared == 2640
    assert len(labelled.disagreements) <= 26
    assert (len(by_problem(kept)), len(kept)) == (353, 932)


def test_four_duplicate_responses_are_removed(solutions, grade_many):
    counts = build_judge_set(read_responses(solutions), grade_many=grade_many, lenient=True).card.counts
    assert counts["usable (an answer, not cut)"] - counts["distinct"] == 4


def test_test_set_problems_are_refused_as_contaminated(test_data, solutions, tmp_path, capsys):
    evaluation = test_data / "eval" / "gsm8k-test.jsonl"
    files = [f"judge.data.responses=[{solutions}]", f"data.evaluation=[{evaluation}]"]
    assert make_judge_data([str(tmp_path / "out"), *files, "reward.extraction=lenient"]) == 2
    assert "660 of 660" in capsys.readouterr().err


def test_converter_keeps_every_solution(test_data):
    path = test_data / "labelled-responses" / "gsm8k-solutions-660.jsonl"
    assert len(list(convert(read_rows(path), path))) == 4 * 660
