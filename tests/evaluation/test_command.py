"""The command: refusals before an engine starts, stored responses, and the public evaluation sets."""

import json
import os
import shutil
from pathlib import Path

import pytest

from data.importing.options import ReadOptions
from judgerlvr.config.load import ROOT
from judgerlvr.evaluate import main, parse_arguments
from judgerlvr.evaluation.items import read_generate_items, read_judge_items
from judgerlvr.evaluation.run import Settings, describe_source, evaluate_model
from judgerlvr.sampling.decoding import Decoding
from rewards.errors import InputError

BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"
ROW = {"id": "1", "problem": "1+1?", "gold": "2", "response": "</think>\\boxed{2}"}


def write_rows(path: Path, rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path) -> Path:
    return write_rows(tmp_path / "data.jsonl", [ROW])


@pytest.fixture(scope="session")
def public_data() -> Path:
    folder = os.environ.get("JUDGERLVR_TEST_DATA")
    if not folder:
        pytest.skip("JUDGERLVR_TEST_DATA is not set")
    return Path(folder)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing or too much"),
        (["--data", "{data}"], "no model"),
        (["--data", "{data}", "--responses", "{data}", "--model", "m"], "nothing or too much"),
        (["--data", "{data}", "--model", "no-such-folder"], "no model here"),
        (["--data", "{data}", "--model", "m", "--n", "0"], "--n is 0"),
        (["--data", "{data}", "--model", "m", "--top-p", "0"], "--top-p is 0"),
        (["--data", "{data}", "--model", "m", "--prompt", "none.txt"], "none.txt"),
        (["--data", "{data}", "--model", "m", "--engine", "x"], "KEY=VALUE"),
        (["--data", "{data}", "--model", "m", "--verifier", "rewards.none:x"], "rewards.none"),
        (["--data", "{data}", "--model", "m", "--verdicts", "Yes", "Yes"], "verdict words"),
        (["--judge-data", "{data}", "--model", "m"], "not a judge row"),
        (["--responses", "none.jsonl"], "none.jsonl"),
        (["--data", "{data}", "--model", "m", "--min-check-tokens", "-1"], "--min-check-tokens is -1"),
        (["--data", "{data}", "--model", str(BASE), "--max-tokens", "100000"], "over the model's context of 512; give"),
        (["--data", "{data}", "--model", str(BASE), "--max-tokens", "512"], "over the model's context of 512; give"),
        (
            ["--data", "{data}", "--model", str(BASE), "--max-tokens", "64", "--engine", "max_model_len=64"],
            "over the model's context of 64; give --max-tokens",
        ),
        (
            ["--data", "{data}", "--model", str(BASE), "--engine", "max_model_len=2"],
            "over the model's context of 2; give shorter prompts",
        ),
        (["--data", "{data}", "--model", str(BASE), "--engine", "max_model_len=4k"], "write a whole number"),
        (
            ["--data", "{data}", "--model", "m", "--engine", "attention_backnd=X"],
            "'--engine attention_backnd': vLLM has no such argument; did you mean attention_backend?",
        ),
        (["--data", "{data}", "--model", "m", "--import", "seed=1"], "data.columns.ROLE=COLUMN"),
        (["--data", "{data}", "--model", "m", "--import", "data.columns.riddle=x"], "unknown role; use problem"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(data, tmp_path, capsys, arguments, said):
    filled = [str(data) if word == "{data}" else word for word in arguments]
    assert main([*filled, "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert said in message
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_costs_no_engine(data, capsys, no_engine):
    assert main(["--data", str(data), "--model", str(BASE), "--out", "/proc/self/new/out"]) == 2
    assert "nothing can be made here" in capsys.readouterr().err


class Began(Exception):
    """An engine would start now."""


@pytest.fixture
def no_engine(monkeypatch):
    def begin(model_dir, context, engine):
        raise Began(context)

    monkeypatch.setattr("judgerlvr.sampling.sampler.Sampler", begin)


def test_a_limit_that_the_user_did_not_give_is_cut_with_a_word(data, tmp_path, capsys, no_engine):
    """Without a card the default of 1024 is more than the tiny base's context."""
    items = read_generate_items(data, "{{problem}}", ReadOptions())
    with pytest.raises(Began, match="512"):
        evaluate_model(BASE, items, Settings(Decoding(max_tokens=1024)))
    assert "over the model's context of 512: the response to that prompt is cut at" in capsys.readouterr().out


def test_a_prompt_that_fills_the_context_alone_does_not_lower_the_limit(tmp_path, capsys, no_engine):
    """Its sample is empty and marked, and the other prompts have room for the limit."""
    rows = [ROW, ROW | {"id": "2", "problem": "1+" * 400 + "1?"}]
    items = read_generate_items(write_rows(tmp_path / "two.jsonl", rows), "{{problem}}", ReadOptions())
    with pytest.raises(Began):
        evaluate_model(BASE, items, Settings(Decoding(max_tokens=400)), whole_limit=True)
    assert "over the model's context" not in capsys.readouterr().out


def test_stored_responses_are_graded_by_model_and_counted_by_the_limit(tmp_path, capsys):
    rows = [
        ROW | {"model": "a"},
        ROW | {"model": "a", "response": "\\boxed{3}"},
        ROW | {"model": "b"},
        ROW | {"model": "c"},
    ]
    path = write_rows(tmp_path / "r.jsonl", rows)
    assert main(["--responses", str(path), "--limit", "3", "--out", str(tmp_path / "out")]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {row["set"]: row["accuracy"]["value"] for row in summary["results"]} == {"a": 0.5, "b": 1.0}
    assert summary["data"][0]["rows"] == 4
    assert "limit: the first 3 rows" in capsys.readouterr().out


@pytest.mark.parametrize("model", [{}, {"model": "a"}])
def test_two_files_of_one_name_are_two_sets(tmp_path, model):
    paths = [tmp_path / "a" / "test.jsonl", tmp_path / "b" / "test.jsonl"]
    for path, response in zip(paths, ("\\boxed{2}", "\\boxed{3}"), strict=True):
        path.parent.mkdir()
        write_rows(path, [ROW | model | {"response": response}])
    assert main(["--responses", *map(str, paths), "--out", str(tmp_path / "out")]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    ending = f": {model['model']}" if model else ""
    found = {row["set"]: row["accuracy"]["value"] for row in summary["results"]}
    assert found == {f"{paths[0]}{ending}": 1.0, f"{paths[1]}{ending}": 0.0}


def test_judge_rows_keep_id_label_and_problem(tmp_path):
    row = {
        "prompt": [{"role": "user", "content": "judge"}],
        "reward_model": {"ground_truth": "0"},
        "extra_info": {"id": "p1-0", "problem_id": "p1", "problem": "1+1?", "kind": "judge"},
    }
    item = read_judge_items(write_rows(tmp_path / "j.jsonl", [row]))[0]
    assert (item.id, item.problem.id, item.label, item.kind) == ("p1-0", "p1", False, "judge")


@pytest.mark.parametrize("truth", ["2", None, 1.5])
def test_judge_rows_of_another_kind_name_the_row(tmp_path, truth):
    row = {"prompt": [], "reward_model": {"ground_truth": truth}, "extra_info": {"id": 1, "problem": "x"}}
    with pytest.raises(InputError, match="row 1"):
        read_judge_items(write_rows(tmp_path / "j.jsonl", [row]))


@pytest.mark.parametrize(("name", "rows"), [("gsm8k-test", 1319), ("math500", 500), ("aime24", 30), ("svamp", 1000)])
def test_public_sets_have_all_their_rows(public_data, name, rows):
    items = read_generate_items(public_data / "eval" / f"{name}.jsonl", "{{problem}}")
    assert len({item.id for item in items}) == rows
    assert all(item.problem.gold for item in items)


def test_lenient_grading_reproduces_the_four_models_marks(public_data, tmp_path, capsys):
    lines = (public_data / "labelled-responses" / "gsm8k-solutions-660.jsonl").read_text().splitlines()
    rows, marks = [], {}
    for number, line in enumerate(lines):
        problem = json.loads(line)
        gold = problem["ground_truth"].rpartition("A: ")[2]
        for model, answer in problem.items():
            if isinstance(answer, dict):
                about = {"id": str(number), "problem": problem["question"], "gold": gold, "model": model}
                rows.append(about | {"response": answer["solution"]})
                marks.setdefault(model, []).append(answer["is_correct"])
    path = write_rows(tmp_path / "responses.jsonl", rows)
    assert main(["--responses", str(path), "--extraction", "lenient", "--out", str(tmp_path / "out")]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    expected = {model: sum(values) / len(values) for model, values in marks.items()}
    assert {row["set"]: row["accuracy"]["value"] for row in summary["results"]} == expected


def test_engine_arguments_may_be_repeated():
    assert parse_arguments(["--engine", "a=1", "b=2", "--engine", "c=3"]).engine == ["a=1", "b=2", "c=3"]


REFUSED = {
    "--temperature nan": "--temperature is nan; give a number at least 0",
    "--temperature inf": "--temperature is inf",
    "--n 1000000000": "--n is 1000000000; give a number at least 1 and at most 65536",
    "--max-tokens 10000000000": "--max-tokens is 10000000000",
    "--engine model=x": "another setting decides it",
    "--engine max_model_len=0": "write a whole number",
    "--model nowhere": "config.json is missing",
    "--model without": "no *.safetensors in the model directory",
    "--out t.jsonl": "is a file; give a folder for --out",
}


@pytest.mark.parametrize("given", REFUSED)
def test_what_an_engine_would_find_is_refused_before_it(tmp_path, monkeypatch, capsys, given):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.jsonl").write_text('{"problem": "1+1?", "gold": "2"}\n')
    shutil.copytree(BASE, "without", ignore=shutil.ignore_patterns("*.safetensors"))
    options = ["--data", "t.jsonl", "--model", str(BASE), *given.split()]
    assert main(options) == 2
    line = capsys.readouterr().err
    assert REFUSED[given] in line and line.count("\n") == 1


def test_responses_are_read_by_the_columns_of_training(tmp_path, capsys):
    rows = [{"riddle": "1+1?", "key": "2", "reply": "</think>\\boxed{2}"}, {"riddle": "2+1?", "reply": "\\boxed{3}"}]
    file = write_rows(tmp_path / "own.jsonl", rows)
    columns = [
        f"data.columns.{role}={name}" for role, name in (("problem", "riddle"), ("gold", "key"), ("response", "reply"))
    ]
    words = ["--responses", str(file), "--out", str(tmp_path / "out"), "--import", *columns]
    assert main(words) == 2
    assert "row 2" in capsys.readouterr().err
    assert main([*words, "data.bad_rows=drop"]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [row["accuracy"]["value"] for row in summary["results"]] == [1.0]


def test_items_keep_the_turns_before_the_problem_and_columns_for_verifiers(tmp_path):
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "x = 3"}]
    turns += [{"role": "assistant", "content": "Noted."}, {"role": "user", "content": "x + 1?"}]
    file = write_rows(tmp_path / "chat.jsonl", [{"conv": turns, "gold": "4", "level": 2}])
    options = ReadOptions({"problem": "conv"})
    (item,) = read_generate_items(file, "Solve {{problem}}", options)
    assert [turn["content"] for turn in item.prompt] == ["Be brief.", "x = 3", "Noted.", "Solve x + 1?"]
    assert item.problem.meta["level"] == 2


def test_a_folder_is_described_by_its_rows(tmp_path):
    (tmp_path / "set").mkdir()
    file = write_rows(tmp_path / "set" / "a.jsonl", [ROW])
    before = describe_source(tmp_path / "set", 1, 1).sha256
    file.rename(tmp_path / "set" / "b.jsonl")
    assert describe_source(tmp_path / "set", 1, 1).sha256 == before
    write_rows(tmp_path / "set" / "b.jsonl", [ROW, {**ROW, "problem": "other"}])
    assert describe_source(tmp_path / "set", 2, 2).sha256 != before


def test_another_evaluation_of_the_model_is_not_overwritten(data, tmp_path, monkeypatch, capsys):
    """The same evaluation again takes its own folder, and a damaged summary is left alone."""
    monkeypatch.chdir(tmp_path)
    for words in ([], ["--extraction", "lenient"], ["--extraction", "lenient"]):
        assert main(["--responses", str(data), *words]) == 0
    first, second = sorted((tmp_path / "runs" / "eval").iterdir())
    assert second.name == f"{first.name}-2"
    (second / "summary.json").write_text("{")
    assert main(["--responses", str(data), "--extraction", "lenient"]) == 0
    assert f"{first.name}-3/samples.jsonl" in capsys.readouterr().out
    assert (second / "summary.json").read_text() == "{"
