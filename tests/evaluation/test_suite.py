"""The suite of a benchmark: what is in it, and every wrong suite as a line before anything runs."""

import json

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.evaluation.benchmark.command import load_entries
from judgerlvr.evaluation.benchmark.suite import read_suite
from judgerlvr.evaluation.tasks import TASKS
from rewards.errors import InputError
from tests.helpers.benchmark_items import small_task, sums, write_rows
from tests.helpers.json_damage import damaged


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    for name in TASKS:
        monkeypatch.setitem(TASKS, name, small_task(name))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tasks: 7", "not a suite"),
        ("tasks: [aime23]", "no task is called 'aime23'"),
        ("tasks: [aime24, aime24]", "two entries are called 'aime24'"),
        ("tasks: [{task: aime24, nn: 3}]", "unknown key 'nn'"),
        ("tasks: [{task: aime24, n: 0}]", "n is 0"),
        ("tasks: [{name: own}]", "a set without a file"),
        ("tasks: [{name: own, file: x.jsonl, domain: near}]", "domain is 'near'"),
        ("tasks: [7]", "no entry of a suite"),
        ("tasks: []", "no list of entries"),
        ("tasks: aime24", "no list of entries"),
        ("tasks: {aime24: 1}", "no list of entries"),
        ("tasks: [{task: aime24, file: 7}]", "file is 7"),
        ("tasks: [{task: aime24, prompt: ''}]", "prompt is ''"),
        ("tasks: [{name: 2024, file: x}]", "name is 2024"),
    ],
)
def test_a_wrong_suite_is_a_line(tmp_path, text, says):
    (tmp_path / "suite.yaml").write_text(text)
    with pytest.raises(InputError, match=says):
        read_suite(tmp_path / "suite.yaml")


ENTRIES = (
    {"task": "aime25", "file": "rows.jsonl", "n": 1, "sha256": "0" * 64, "prompt": "prompt.txt"},
    {
        "name": "own",
        "file": "own.jsonl",
        "n": 1,
        "domain": "in",
        "verifier": "rewards.math:verify",
        "prompt": "prompt.txt",
    },
)


@pytest.mark.parametrize("entry", ENTRIES, ids=["a task", "a set of one's own"])
def test_any_damage_to_a_suite_is_one_line_or_a_suite(tmp_path, monkeypatch, entry):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "rows.jsonl", sums("question"))
    write_rows(tmp_path / "own.jsonl", sums())
    (tmp_path / "prompt.txt").write_text("{{problem}}")
    refused = 0
    for content in damaged({"tasks": [entry]}):
        (tmp_path / "suite.yaml").write_text(json.dumps(content))
        try:
            load_entries(read_suite(tmp_path / "suite.yaml"), unsandboxed=False)
        except InputError as refusal:
            assert "\n" not in str(refusal)
            refused += 1
    assert refused > 40


@pytest.mark.parametrize("name", ["../up", "a/b", ".", "..", "-x", "a\nb", "a\0b", "x" * 61, "a|b"])
def test_a_name_that_is_no_plain_folder_is_refused(tmp_path, name):
    """Samples of a set lie in a folder of its name, and such a folder lay outside of the output folder."""
    (tmp_path / "suite.yaml").write_text(json.dumps({"tasks": [{"name": name, "file": "own.jsonl"}]}))
    with pytest.raises(InputError, match="a set cannot be called") as refused:
        read_suite(tmp_path / "suite.yaml")
    assert "\n" not in str(refused.value)


def test_the_shipped_suite_names_all_ten_tasks():
    assert [entry.task.name for entry in read_suite(ROOT / "configs/suites/ten.yaml")] == list(TASKS)
