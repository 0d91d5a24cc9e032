"""What a judge that also solves validates on: its held-out judge rows, and held-out problems with their own prompt."""

import json

import pytest

from data.row_files import read_rows
from judgerlvr.config.load import load_config
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.pipeline.judge_data import prepare_judge
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.pipeline.solving_data import BY, FIELD, SAMPLES
from judgerlvr.runs.policy_card import used_facts
from judgerlvr.runs.request import Request
from judgerlvr.runs.stage import BOTH
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError
from rewards.grading.settings import GradingSettings

SOLVES = ("judge.validation.every=1", "judge.solving.problems=2", "judge.solving.samples=3")


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(base_path("qwen3_moe"))


@pytest.fixture
def files(tmp_path):
    """Overrides of own problems and solutions. Problem hN is held out, and tN has a right and a wrong solution."""

    def write(name, rows):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def made(heldout=("h1", "h2", "h3"), **columns):
        judged = [{"problem": f"t{n}", "gold": "7", "response": f"\\boxed{{{a}}}"} for n in range(12) for a in (7, 8)]
        train = write("train.jsonl", [{"problem": f"t{n}", "gold": "7"} for n in range(12)])
        held = write("held.jsonl", [{"problem": text, "gold": "9", **columns} for text in heldout])
        return (
            f"data.train=[{train}]",
            f"data.heldout=[{held}]",
            f"judge.data.responses=[{write('judged.jsonl', judged)}]",
            "judge.data.heldout_problems=2",
            "judge.batch.prompts_per_step=4",
            "judge.batch.updates_per_step=1",
        )

    return made


def prepared(folder, tokenizer, *overrides):
    config = load_config("configs/tiny.yaml", [*overrides, "reward.workers=1"])
    request = Request("judge", config, base_path("qwen3_moe"), folder / "out", "cpu")
    (folder / "data").mkdir(parents=True)
    stage, _ = prepare_judge(request, folder, tokenizer, ProblemSets(config, GradingSettings(workers=1)))
    return stage


def solved(stage):
    return [row for row in read_rows(stage.validated) if row["data_source"] == "solving"]


def test_the_first_held_out_problems_are_solved_with_the_generation_prompt(files, tmp_path, tokenizer):
    (tmp_path / "mine.txt").write_text("Mine. {{problem}}")
    stage = prepared(tmp_path / "run", tokenizer, *files(), *SOLVES, f"data.prompt={tmp_path / 'mine.txt'}")
    assert [row["prompt"] for row in solved(stage)] == [
        [{"role": "user", "content": "Mine. h1"}],
        [{"role": "user", "content": "Mine. h2"}],
    ]
    assert {row["reward_model"]["ground_truth"] for row in solved(stage)} == {"9"}
    assert {row["extra_info"]["kind"] for row in solved(stage)} == {"generate"}


def test_judge_rows_have_samples_of_their_own(files, tmp_path, tokenizer):
    stage = prepared(tmp_path / "run", tokenizer, *files(), *SOLVES, "judge.validation.samples=2")
    counts = {row["data_source"]: (row[SAMPLES], row[BY]) for row in read_rows(stage.validated)}
    judged = (2, "judgerlvr")
    assert counts == {"judge_right": judged, "judge_wrong": judged, "solving": (3, "judgerlvr_solving")}
    judged = [row for row in read_rows(stage.validated) if row["data_source"] != "solving"]
    kept = read_rows(stage.heldout)
    assert [row["prompt"] for row in judged] == [row["prompt"] for row in kept]


def test_validation_prompts_count_judge_rows_alone(files, tmp_path, tokenizer):
    stage = prepared(tmp_path / "run", tokenizer, *files(), *SOLVES, "judge.validation.prompts=1")
    assert (len(solved(stage)), len(read_rows(stage.validated)), len(read_rows(stage.heldout))) == (2, 3, 4)


def test_a_column_named_as_one_of_judge_rows_may_be_of_another_type(files, tmp_path, tokenizer):
    stage = prepared(tmp_path / "run", tokenizer, *files(answer=7, response=[1, 2]), *SOLVES)
    assert [row["extra_info"]["response"] for row in solved(stage)] == [[1, 2], [1, 2]]


def test_verdicts_and_answers_are_graded_by_one_reward(files, tmp_path, tokenizer):
    stage = prepared(tmp_path / "run", tokenizer, *files(), *SOLVES, "reward.extraction=lenient")
    assert stage.reward_function.endswith(f":{BOTH}")
    known = {"words": ["Yes", "No"], "verifier": "rewards.math:verify", "extraction": "lenient"}
    assert known.items() <= stage.reward_kwargs.items()


def test_without_the_key_files_and_reward_are_as_before(files, tmp_path, tokenizer):
    """The held-out problems are not even read."""
    plain = files()[:1] + files()[2:]
    stage = prepared(tmp_path / "run", tokenizer, *plain, "judge.validation.every=1", "generate.validation.every=0")
    assert sorted(path.name for path in stage.data.glob("*.parquet")) == ["heldout.parquet", "train.parquet"]
    assert stage.validated == stage.heldout and stage.reward_function.endswith(":judge_score")
    assert set(stage.reward_kwargs) == {"thinking_open", "words"}


@pytest.mark.parametrize("name", ["train", "heldout"])
def test_the_key_changes_no_judge_row(files, tmp_path, tokenizer, name):
    plain = prepared(tmp_path / "plain", tokenizer, *files(), SOLVES[0])
    more = prepared(tmp_path / "more", tokenizer, *files(), *SOLVES)
    assert getattr(plain, name).read_bytes() == getattr(more, name).read_bytes()


def refused(folder, tokenizer, *overrides):
    with pytest.raises(InputError) as caught:
        prepared(folder, tokenizer, *overrides)
    return str(caught.value)


def test_more_problems_than_are_held_out_are_refused(files, tmp_path, tokenizer):
    said = refused(tmp_path / "run", tokenizer, *files(), *SOLVES, "judge.solving.problems=4")
    assert f"field {FIELD!r}" in said and "4 problems to solve, and 3 held-out problems can be used" in said


def test_a_problem_whose_prompt_cannot_be_used_does_not_count(files, tmp_path, tokenizer):
    said = refused(tmp_path / "run", tokenizer, *files(("h1", "<|im_end|>", "h3", "h4")), *SOLVES[:1], f"{FIELD}=4")
    assert "3 held-out problems can be used" in said


def test_a_problem_that_is_judged_in_training_is_refused(files, tmp_path, tokenizer):
    said = refused(tmp_path / "run", tokenizer, *files(tuple(f"t{n}" for n in range(12))), *SOLVES, f"{FIELD}=12")
    assert "field 'data.heldout'" in said and "training problems too" in said


def test_a_judge_on_response_files_then_uses_the_generation_prompt(files):
    plain, more = (load_config("configs/tiny.yaml", [*files(), *given]) for given in ((), SOLVES))
    assert "generation_prompt" not in used_facts("judge", plain)
    assert "generation_prompt" in used_facts("judge", more)
