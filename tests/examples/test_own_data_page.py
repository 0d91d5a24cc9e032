"""The page "your model, your data, a CPU": commands without an engine end as the page says, the others parse."""

import importlib
import json
import re
import shlex
import subprocess

import pytest

from data.jsonl import read_jsonl
from judgerlvr.config.load import ROOT
from judgerlvr.evaluate import parse_arguments as parse_evaluate
from judgerlvr.runs.policy_card import serve_command
from tests.house.references import code_lines, commands

PAGE = (ROOT / "docs" / "own-data.md").read_text()
CONFIG = "examples/own_model/config.yaml"
OURS = [words for words in commands(PAGE) if words[0].startswith("judgerlvr.")]
# Commands of the shell, and the script that makes the problems.
SHELL = [line for line in code_lines(PAGE) if line.startswith(("mkdir", "cp ", "head", "sed", "tail"))]
# What stands below each command as its last line.
LAST = re.findall(r"^    python -m judgerlvr\.(.+)\n\n^Last line: `(.+?)`", PAGE, re.M)


def run(module, words):
    return importlib.import_module(module).main(words)


@pytest.fixture(scope="module")
def at_home(tmp_path_factory):
    """A folder with links to the checkout, in which the page's first commands were given."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("judgerlvr", "examples"):
        (folder / name).symlink_to(ROOT / name)
    maker = next(words for words in commands(PAGE) if words[0] == "examples.own_model.make_problems")
    make = importlib.import_module(maker[0])
    make.main(folder / maker[1])
    for line in SHELL:
        subprocess.run(["bash", "-c", line], cwd=folder, check=True)
    return folder


def test_the_page_shows_the_last_line_of_each_check(at_home):
    assert [command.split()[0] for command, _ in LAST] == ["inspect_data", "doctor", "stage1_judge"]
    assert sorted(path.name for path in (at_home / "problems").iterdir()) == [
        "all.jsonl",
        "heldout.jsonl",
        "test.jsonl",
        "train.jsonl",
    ]


@pytest.mark.parametrize(("command", "last"), LAST, ids=[command.split()[0] for command, _ in LAST])
def test_checks_end_as_the_page_says(at_home, monkeypatch, capsys, command, last):
    monkeypatch.chdir(at_home)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    module, *words = shlex.split(command)
    assert run(f"judgerlvr.{module}", words) == 0
    said = capsys.readouterr().out.splitlines()
    assert last in said[-1]
    if module == "doctor":
        assert any("140 training problems, 20 held out" in line for line in said)


def test_stage_2_begins_where_stage_1_ends(at_home, monkeypatch):
    monkeypatch.chdir(at_home)
    (words,) = (words[1:] for words in OURS if words[0] == "judgerlvr.stage2_generate")
    (at_home / "ckpt").mkdir()
    (at_home / "ckpt" / "judge").symlink_to(at_home / "models" / "mine")
    assert run("judgerlvr.stage2_generate", [*words, "--dry-run"]) == 0


def test_the_server_is_started_as_the_stage_says():
    assert serve_command("ckpt/generate", "cpu") in code_lines(PAGE)


def test_the_question_is_a_training_problem_in_the_prompt_of_the_training(at_home):
    asked = next(line for line in code_lines(PAGE) if line.startswith("curl"))
    content = json.loads(shlex.split(asked)[-1])["messages"][0]["content"]
    problems = [row["problem"] for row in read_jsonl(at_home / "problems" / "train.jsonl")]
    template = (ROOT / "configs" / "prompts" / "tiny_generate.txt").read_text().strip()
    assert content in [template.replace("{{problem}}", problem) for problem in problems]


def test_evaluations_parse_and_name_what_the_page_made():
    given = [parse_evaluate(words[1:]) for words in OURS if words[0] == "judgerlvr.evaluate"]
    assert [str(options.model) for options in given] == ["models/mine", "ckpt/generate"]
    assert {str(path) for options in given for path in options.data} == {"problems/test.jsonl"}
