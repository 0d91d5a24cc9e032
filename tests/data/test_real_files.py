"""Real files: row counts, and the figures that the published GSM8K solutions must give."""

import os

import pytest

from data.gsm8k_solutions import convert, main
from data.importing.options import ReadOptions
from data.judge_set import JudgeSetSettings, build_judge_set
from data.labelling import View
from data.problems import read_problem_set, read_problems
from data.responses import read_responses
from data.row_files import read_rows
from judgerlvr.make_judge_data import main as make_judge_data
from rewards.errors import InputError
from rewards.grading.pool import GraderPool

# Problems of each file, and rows that are left out with their reason: the training file has 4 rows without an answer.
COUNTS = {
    "eval/gsm8k-test.jsonl": 1319,
    "eval/math500.jsonl": 500,
    "eval/aime24.jsonl": 30,
    "eval/svamp.jsonl": 1000,
    "labelled-responses/gsm8k-solutions-660.jsonl": 660,
    "train/math-train-7474.json": 7469,
}
DROPPED = {"train/math-train-7474.json": "4 rows dropped: no gold answer (field 'answer', rows 887, 1010, 5329, 5331)"}
# Gold of the first problem, as a person reads the file.
FIRST = {
    "eval/gsm8k-test.jsonl": "18",
    "eval/math500.jsonl": r"\left( 3, \frac{\pi}{2} \right)",
    "eval/aime24.jsonl": "204",
    "eval/svamp.jsonl": "145",
    "labelled-responses/gsm8k-solutions-660.jsonl": "18",
    "train/math-train-7474.json": "0",
}
# Pairs of golds and answers, which ``rewards.grade_file`` takes. No column holds a problem.
NO_PROBLEMS = ["equivalence/math-verify.jsonl", "equivalence/nemo-skills.jsonl", "rewards/cases-2026-11-28.jsonl"]


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
def test_every_file_of_problems_reads_whole(test_data, name):
    found = read_problem_set(test_data / name, ReadOptions(bad_rows="drop"))
    assert len(found.problems) == COUNTS[name]
    assert all(problem.text and problem.gold for problem in found.problems)
    assert found.problems[0].gold == FIRST[name]
    assert found.bad.faults == [] or DROPPED[name] in " ".join(found.notes())


@pytest.mark.parametrize("name", NO_PROBLEMS)
def test_a_file_without_problems_is_refused_with_its_columns(test_data, name):
    with pytest.raises(InputError, match=r"no problem text among the columns .*gold.*nearest layout is") as caught:
        read_problems(test_data / name)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def judge_set(tmp_path_factory, grade_many):
    folder = os.environ.get("JUDGERLVR_TEST_DATA")
    if not folder:
        pytest.skip("JUDGERLVR_TEST_DATA is not set")
    out = tmp_path_factory.mktemp("solutions") / "candidates.jsonl"
    assert main([f"{folder}/labelled-responses/gsm8k-solutions-660.jsonl", str(out)]) == 0
    settings = JudgeSetSettings(view=View(lenient=True), cap_per_problem=0)
    return build_judge_set(read_responses(out), grade_many=grade_many, settings=settings)


def test_labels_agree_and_counts_are_the_known_ones(judge_set):
    card = judge_set.card
    assert card.label_agreement >= 0.99
    assert card.counts["candidates"] == 2640
    assert (card.splits["train"]["problems"], card.counts["training"]) == (353, 930)


def test_four_duplicate_responses_are_removed(judge_set):
    assert judge_set.card.counts["usable"] - judge_set.card.counts["distinct"] == 4


def test_known_baselines(judge_set):
    known = {"majority class": 0.5, "longer response": 0.538, "majority answer": 0.744, "answer string": 0.571}
    assert judge_set.card.baselines == pytest.approx(known, abs=0.02)


def test_test_set_problems_are_refused_as_contaminated(test_data, solutions, tmp_path, capsys):
    evaluation = test_data / "eval" / "gsm8k-test.jsonl"
    files = [f"judge.data.responses=[{solutions}]", f"data.evaluation=[{evaluation}]"]
    assert make_judge_data([str(tmp_path / "out"), *files, "reward.extraction=lenient"]) == 2
    assert "660 of 660" in capsys.readouterr().err


def test_converter_keeps_every_solution(test_data):
    path = test_data / "labelled-responses" / "gsm8k-solutions-660.jsonl"
    assert len(list(convert(read_rows(path), path))) == 4 * 660
