"""Paths, commands, options and keys that docs, docstrings and comments name exist, and every link leads somewhere."""

import re

import pytest

from tests.house.references import broken_links, command_problem, problems, span_problem
from tests.house.texts import ROOT, pages, python_files

CODE = python_files("judgerlvr/", "rewards/", "data/", "benchmarks/", "scripts/", "tests/", "examples/")
PAGES = pages()


# A folder of one machine says nothing on another. Docs and commands name such folders by a word in capitals.
MACHINE = re.compile(r"(?<![\w.~:/])/(tmp|home|root|work|mnt|srv|var|Users)/\w")
RECORDS = [path for path in sorted((ROOT / "benchmarks").rglob("*")) if "results" in path.parts and path.is_file()]


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_names_what_exists(page):
    assert problems(page) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_a_record_names_no_folder_of_a_machine():
    assert [named(path) for path in RECORDS if MACHINE.search(path.read_text(errors="replace"))] == []


@pytest.mark.parametrize("frame", ["runs={},", "['{}/x.jsonl']", "`{}`: bf16", '"{}"'])
@pytest.mark.parametrize("folder", ["tmp", "home", "root", "Users"])
def test_a_planted_folder_is_found(folder, frame):
    assert MACHINE.search(frame.format(f"/{folder}/a"))


def test_docstrings_and_comments_name_what_exists():
    assert {named(path): found for path in CODE if (found := problems(path))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "docs/no_such_thing.md",
        "judgerlvr/no_such_thing/",
        "no_such_thing.jsonl",
        "judgerlvr.config.no_such_thing",
        "rewards.math:no_such_thing",
        "judge.prompts_per_step",
        "judge.batch.prompts_per_stp: match_tokens",
        "stop.no_such_thing",
    ],
)
def test_a_planted_name_is_found(text):
    assert span_problem(text, ROOT / "README.md")


@pytest.mark.parametrize(
    "words",
    [
        ["judgerlvr.no_such_thing"],
        ["judgerlvr.evaluate", "--modle", "DIR"],
        ["judgerlvr.stage1_judge", "judge.stop.stepps=1"],
        ["scripts/no_such_thing.sh"],
        ["make", "no_such_thing"],
    ],
)
def test_a_planted_command_is_found(words):
    assert command_problem(words)
