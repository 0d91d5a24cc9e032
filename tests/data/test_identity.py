"""Identity hangs on what the policy is shown: not on ids, gold answers, spaces or Unicode forms."""

import asyncio
import json
import unicodedata

import pytest

from data.identity import label_of, problem_id, shown_text
from data.jsonl import write_jsonl
from data.judge_set import build_judge_set
from data.problems import check_apart, read_problem_set, read_problems, shared_ids
from data.responses import read_responses
from data.row_files import read_rows
from data.verl_rows import render_generate_rows, write_parquet
from rewards.errors import InputError
from rewards.types import Problem, Reason, Result
from rewards.verl_adapter import generate_score


def right(pairs):
    return [Result(float("right" in text), Reason.CORRECT if "right" in text else Reason.WRONG) for _, text in pairs]


@pytest.mark.parametrize("other", ["  caf\u00e9\n is \t1+1? ", unicodedata.normalize("NFD", "caf\u00e9 is 1+1?")])
def test_spaces_and_unicode_forms_are_one_problem(other):
    assert problem_id(other) == problem_id("caf\u00e9 is 1+1?")


@pytest.mark.parametrize("other", ["Caf\u00e9 is 1+1?", "caf\u00e9 is 1+1", "caf\u00e9 is 1 +1?"])
def test_case_marks_and_inner_spaces_are_another_problem(other):
    assert problem_id(other) != problem_id("caf\u00e9 is 1+1?")


def test_earlier_turns_and_choices_make_another_problem(tmp_path):
    rows = [
        {"prompt": [{"role": "user", "content": "x?"}], "answer": "1"},
        {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "x?"}], "answer": "1"},
        {"context": "c", "question": "x?", "answer": "1"},
        {"question": "x?", "choices": ["p", "q"], "answer": 1},
        {"question": "x?", "choices": ["p", "r"], "answer": 1},
    ]
    write_jsonl(tmp_path / "a.jsonl", rows)
    assert len({problem.id for problem in read_problems(tmp_path / "a.jsonl")}) == 5


def test_files_that_both_count_from_zero_make_no_pairs(tmp_path):
    for name, word in (("a", "right"), ("b", "no")):
        rows = [
            {"id": n, "problem": f"{name}{n}?", "gold": "1", "response": f"{word} {n}{k}"}
            for n in range(5)
            for k in range(2)
        ]
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    candidates = [row for name in "ab" for row in read_responses(tmp_path / f"{name}.jsonl")]
    with pytest.raises(InputError, match="0 problems of mixed outcome among 10"):
        build_judge_set(candidates, grade_many=right)


def test_one_id_at_two_texts_is_named_and_stays_a_label():
    problems = [Problem("1", "a", "1", {"given_id": "7"}), Problem("2", "b", "1", {"given_id": "7"})]
    assert shared_ids(problems).startswith("1 id at two texts")
    assert label_of(problems[0]) == "7"


def test_a_repeated_problem_is_kept_once_and_named(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"problem": "1+1?", "gold": "2"}, {"problem": " 1+1?", "gold": "2"}])
    found = read_problem_set(tmp_path / "a.jsonl")
    assert (len(found.problems), found.repeated) == (1, [(2, 1)])


def test_a_problem_in_training_and_held_out_is_refused():
    problems = [Problem(problem_id(text), text, "1") for text in ("a", "b", "c")]
    with pytest.raises(InputError, match="1 of 2 held-out problems are training problems"):
        check_apart(problems[:2], problems[1:])


def test_a_judge_sees_earlier_turns():
    problem = Problem("i", "And x + 1?", "4", {"earlier_turns": [{"role": "user", "content": "x = 3"}]})
    assert shown_text(problem) == "user: x = 3\n\nuser: And x + 1?"


def maze_verifier(problem, answer):
    """Reads a column of the problem's file."""
    found = answer == problem.meta["maze"]["exit"]
    return Result(float(found), Reason.CORRECT if found else Reason.WRONG)


def test_a_verifier_gets_the_columns_of_the_file(tmp_path):
    row = {"id": 5, "problem": "Walk.", "answer": "x", "maze": {"exit": "north"}, "extra_info": {"level": 2}}
    write_jsonl(tmp_path / "a.jsonl", [row])
    rendered = render_generate_rows(read_problems(tmp_path / "a.jsonl"), "{{problem}}")
    write_parquet(tmp_path / "a.parquet", rendered)
    (stored,) = read_rows(tmp_path / "a.parquet")
    assert (stored["extra_info"]["level"], stored["extra_info"]["given_id"]) == (2, "5")
    truth = stored["reward_model"]["ground_truth"]
    graded = generate_score(
        "generate", "\\boxed{north}", truth, stored["extra_info"], verifier=f"{__name__}:maze_verifier", workers=1
    )
    assert asyncio.run(graded)["score"] == 1.0


def test_a_column_of_several_types_is_named(tmp_path):
    rows = [{"problem": f"{n}?", "gold": "1", "level": level} for n, level in enumerate((1, "two"))]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rendered = render_generate_rows(read_problems(tmp_path / "a.jsonl"), "{{problem}}")
    with pytest.raises(InputError, match="'level' holds values of several types"):
        write_parquet(tmp_path / "a.parquet", rendered)
