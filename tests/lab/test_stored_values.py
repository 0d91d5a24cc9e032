"""Each value of an octet, of checks and of a claim in each wrong form: a command answers, or refuses in one line."""

import copy
import importlib
import json

import pytest

from benchmarks.lab import claim, coverage, dose, measured, page, pages, run
from benchmarks.lab.cells import all_cells
from benchmarks.lab.checks import Check
from benchmarks.lab.command import BadInput, read_object
from benchmarks.lab.map import OCTET
from benchmarks.lab.training import Octet
from tests.lab.test_bad_input import OF_RECORDS

RECORD = measured.RESULTS / "2026-11-30-h200-ninth" / "chain-92-05-fresh-10"
NAMES = ("octet-vanilla.json", "octet-judge-most.json", "checks.json")
MISSING = object()
FORMS = {"null": None, "string": "x", "list": [1], "negative": -1, "missing": MISSING}
FIELDS = {"checks.json": ("checks", "base", "cell", "settings")}


def shortened(name):
    """A file of the record with the first point of each curve, the hand-over, and the last three points."""
    content = json.loads((RECORD / name).read_text())
    content["steps"] = content.get("steps", [])[:1]
    for one in content.get("runs", []):
        at = next((i for i, p in enumerate(one["curve"]) if p["stage"].startswith("2-")), 2)
        one["curve"] = [one["curve"][0], one["curve"][at - 1], one["curve"][at], *one["curve"][-3:]]
    return content


CONTENTS = {name: shortened(name) for name in NAMES}


def places(value, *path):
    """Every place of a file: of runs the first, and of a curve the base, the hand-over and the end."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        skipped = key > 0 if path == ("runs",) else path[-1:] == ("curve",) and key not in (0, 1, 5)
        if skipped:
            continue
        yield from places(one, *path, key)


def changed(name, path, form):
    made = copy.deepcopy(CONTENTS[name])
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    if FORMS[form] is MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = FORMS[form]
    return made


@pytest.fixture
def records(tmp_path, monkeypatch):
    """The only record of the lab, with shortened curves."""
    for module in (coverage, dose, measured, page):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(pages, "DOCS", tmp_path / "docs")
    cell = tmp_path / "results" / RECORD.parent.name / RECORD.name
    cell.mkdir(parents=True)
    for name in NAMES:
        (cell / name).write_text(json.dumps(CONTENTS[name]))
    return cell


COMMANDS = [*OF_RECORDS, "map"]


def answered(capsys, command, cell):
    """(exit code, number of lines on standard error) of a command over the record. A traceback fails the test."""
    words = [str(cell), "--out", str(cell.parents[2] / "map"), "--no-plots"] if command == "map" else []
    words = ["--cell", "chain-92-05"] if command == "dose" else words
    capsys.readouterr()
    code = importlib.import_module(f"benchmarks.lab.{command}").main(words)
    return code, len(capsys.readouterr().err.splitlines())


def passes(file, fields):
    """Whether a file is read. One that is not has one line, with the file and a remedy."""
    try:
        read_object(file, *fields)
    except BadInput as refusal:
        assert str(file) in str(refusal) and "\n" not in str(refusal)
        return False
    return True


@pytest.mark.parametrize("command", COMMANDS)
def test_the_record_itself_is_taken(capsys, records, command):
    assert answered(capsys, command, records) == (0, 0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_no_value_is_a_traceback(capsys, records, name, form):
    """Commands read through ``read_object``. What it lets pass is given to each command."""
    passed = 0
    for number, path in enumerate(places(CONTENTS[name])):
        (records / name).write_text(json.dumps(changed(name, path, form)))
        if passes(records / name, FIELDS.get(name, OCTET)):
            passed += 1
            # Most values that pass are read by few commands. So each is given to the map or to the next command.
            command = COMMANDS[number % len(COMMANDS)]
            assert answered(capsys, command, records) in ((0, 0), (2, 1)), (command, path)
    assert passed


@pytest.mark.parametrize("figure", ["entropy", "accuracy", "tokens", "t0.85_entropy", "none_accuracy"])
def test_a_number_that_is_none_says_that_the_run_diverged(capsys, records, figure):
    """The writer stores null for such a number."""
    path = ("runs", 0, "curve", 5, figure)
    (records / "octet-vanilla.json").write_text(json.dumps(changed("octet-vanilla.json", path, "null")))
    words = [str(records), "--out", str(records / "map"), "--no-plots"]
    assert importlib.import_module("benchmarks.lab.map").main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(records / "octet-vanilla.json") in line
    assert f"runs.0.curve.5.{figure} is null" in line and "diverged" in line and "move it" in line


def test_a_share_of_nothing_may_be_null(capsys, records):
    path = ("runs", 0, "curve", 5, "recheck_agrees")
    (records / "octet-vanilla.json").write_text(json.dumps(changed("octet-vanilla.json", path, "null")))
    assert answered(capsys, "map", records) == (0, 0)


def test_a_diverged_arm_is_done_for_the_run(tmp_path):
    """Other arms of the folder can still be trained."""
    cell, arm = all_cells()["smoke"], all_cells()["smoke"].arms[0]
    claim.claimed(tmp_path, cell).save_octet(cell, arm, Octet([[{"entropy": float("nan")}]] * 2, [], True), {})
    assert claim.claimed(tmp_path, cell).finished(arm)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["cell.json", "checks.json", "octet-vanilla.json"])
def test_a_run_refuses_a_value_of_no_kind_before_it_trains(capsys, tmp_path, monkeypatch, name, form):
    """Files that a run reads again. What passes is as the cell has it."""
    monkeypatch.setattr(run, "CellRun", lambda *rest: pytest.fail("a run began"))
    cell = all_cells()["smoke"]
    claimed = claim.claimed(tmp_path, cell)
    claimed.save_octet(cell, cell.arms[0], Octet([[], []], [], True), {})
    claimed.save_checks(cell, [Check("any", 1.0)], [{}], {})
    for field in ("cell", "settings", *(["arm", "complete"] if name.startswith("octet") else [])):
        content = json.loads((tmp_path / name).read_text())
        damaged = {key: value for key, value in content.items() if key != field}
        damaged |= {} if FORMS[form] is MISSING else {field: FORMS[form]}
        (tmp_path / name).write_text(json.dumps(damaged))
        if (field, form) != ("arm", "missing"):
            assert run.main(["smoke", "--out", str(tmp_path)]) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert str(tmp_path / name) in line
        (tmp_path / name).write_text(json.dumps(content))
