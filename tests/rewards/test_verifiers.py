"""Verifiers that read more than an answer: what reaches them from a file, in training and in evaluation."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap

import pytest

from data.importing.options import ReadOptions
from data.problems import read_problems
from data.prompts import as_chat
from data.verl_rows import render_generate_rows, write_parquet
from judgerlvr.evaluation.run import Settings, evaluate_responses
from judgerlvr.sampling.samples import Item, Sample
from rewards.errors import InputError
from rewards.extraction.gold import any_of
from rewards.grading.pool import GraderPool
from rewards.types import Problem, Reason
from rewards.verifier import load_verifier, verifier, whole_problem
from rewards.verl_adapter import generate_score

INSTRUCTIONS = """
    from rewards.types import Reason, Result
    from rewards.verifier import verifier

    @verifier(reads="response", needs_gold=False)
    def follows(problem, response):
        right = len(response.split()) <= problem.meta["most_words"] and problem.meta["keyword"] in response
        return Result(float(right), Reason.CORRECT if right else Reason.WRONG)

    @verifier(reads="completion", needs_gold=False)
    def thinks(problem, completion):
        right = "<think>" in completion
        return Result(float(right), Reason.CORRECT if right else Reason.WRONG)
"""
ROWS = [{"prompt": "Name a fruit in at most 3 words.", "most_words": 3, "keyword": "apple"}]


@pytest.fixture
def instructions(tmp_path, monkeypatch):
    (tmp_path / "instruction_verifier.py").write_text(textwrap.dedent(INSTRUCTIONS))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "instruction_verifier"
    sys.modules.pop("instruction_verifier", None)


@pytest.fixture
def problems(tmp_path):
    file = tmp_path / "problems.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return read_problems(file, ReadOptions(need_gold=False))


RESPONSES = [("<think>a pear</think>An apple.", 1.0), ("<think>apple</think>A pear.", 0.0), ("<think>An apple", 0.0)]


@pytest.mark.parametrize(("completion", "score"), RESPONSES)
def test_a_response_verifier_grades_a_problem_without_a_gold(instructions, problems, completion, score):
    with GraderPool(f"{instructions}:follows", workers=1) as pool:
        assert pool.grade(problems[0], completion).score == score


def test_a_completion_verifier_sees_the_thinking_part(instructions, problems):
    with GraderPool(f"{instructions}:thinks", workers=1) as pool:
        assert pool.grade(problems[0], "<think>a</think>b").score == 1.0


@pytest.mark.parametrize(("completion", "score"), RESPONSES)
def test_columns_reach_the_verifier_through_verls_parquet(instructions, problems, tmp_path, completion, score):
    """File, parquet, adapter: what verl hands to the reward in training."""
    import pyarrow.parquet

    write_parquet(tmp_path / "train.parquet", render_generate_rows(problems, "{problem}"))
    (row,) = pyarrow.parquet.read_table(tmp_path / "train.parquet").to_pylist()
    call = generate_score(
        "generate",
        completion,
        row["reward_model"]["ground_truth"],
        row["extra_info"],
        verifier=f"{instructions}:follows",
        workers=1,
    )
    assert asyncio.run(call)["score"] == score


def test_evaluation_grades_without_a_gold(instructions, problems):
    item = Item("i", "set", problems[0], as_chat("?"))
    samples = [Sample(item, index, text, prompt_text="") for index, (text, _) in enumerate(RESPONSES)]
    evaluation = evaluate_responses(samples, Settings(verifier=f"{instructions}:follows", workers=1))
    assert [record.score for record in evaluation.records] == [score for _, score in RESPONSES]


def test_a_row_without_a_gold_needs_a_verifier_that_says_so(tmp_path):
    file = tmp_path / "problems.jsonl"
    file.write_text(json.dumps(ROWS[0]) + "\n")
    with pytest.raises(InputError, match="no gold answer"):
        read_problems(file)


def test_a_verifier_that_says_nothing_reads_the_answer_and_needs_a_gold():
    loaded = load_verifier("rewards.math:verify")
    assert (loaded.reads, loaded.needs_gold) == ("answer", True)


def test_an_unknown_thing_to_read_is_an_input_error():
    with pytest.raises(InputError):
        verifier(reads="thoughts")  # type: ignore[arg-type]


def test_the_cache_key_holds_all_that_a_verifier_may_read():
    problem = Problem("p", "text", "7", {"a": 1})
    others = [
        Problem("p", "text", "8", {"a": 1}),
        Problem("p", "other", "7", {"a": 1}),
        Problem("p", "text", "7", {"a": 2}),
    ]
    keys = {whole_problem(each, "7") for each in (problem, *others)} | {whole_problem(problem, "8")}
    assert len(keys) == 5


def test_the_nouns_of_a_problem_are_part_of_the_default_verifiers_key():
    with GraderPool(workers=1) as pool:
        apples, empty = (Problem("p", text, "7") for text in ("How many apples are left?", ""))
        scores = [pool.grade(problem, r"\boxed{7 \text{ apples}}").score for problem in (apples, empty)]
    assert scores == [1.0, 0.0]


@pytest.mark.parametrize(
    ("answer", "reason"), [("1/2", "correct"), ("50\\%", "correct"), ("x", "correct"), ("2", "wrong")]
)
def test_any_of_several_golds_is_right(answer, reason):
    with GraderPool(workers=1) as pool:
        result = pool.grade(Problem("p", "", any_of(["0.5", "x"])), f"\\boxed{{{answer}}}")
    assert result.reason is Reason(reason)


def test_golds_of_a_file_may_be_lists_and_alternatives(tmp_path):
    rows = [{"problem": "a", "answer": {"all": ["1", "2"]}}, {"problem": "b", "answer": {"any": ["1/2", "0.5"]}}]
    file = tmp_path / "p.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [problem.gold for problem in read_problems(file)] == ["1, 2", '{"any": ["1/2", "0.5"]}']


@pytest.mark.parametrize("code", [0, 3])
def test_a_module_that_ends_the_process_is_refused(code, tmp_path, monkeypatch):
    (tmp_path / f"ending_{code}.py").write_text(f"import sys\n\nsys.exit({code})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="ends the process when it is imported"):
        load_verifier(f"ending_{code}:verify")
