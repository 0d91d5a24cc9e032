"""YAML that holds itself, is nested too deeply or grows by its aliases is refused in one line, wherever it is read."""

import re
import time

import pytest

from judgerlvr import experiment, stage1_judge
from judgerlvr.cli import parse_engine_options
from judgerlvr.config.documents import MOST_ADDED, MOST_DEPTH, TooLarge, compose, load_yaml
from judgerlvr.config.load import ROOT, load_config
from judgerlvr.evaluation.benchmark.suite import read_suite
from judgerlvr.experiments.plan import read_plan
from rewards.errors import BAD_INPUT, InputError


def bomb(levels):
    """Each level holds the level before ten times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


def ladder(rungs):
    """Lists that are deep by their aliases alone."""
    return "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, rungs))])


BAD = {
    "a mapping in itself": "arms: &x\n  a: *x\n",
    "a list in itself": "arms: &x [*x]\n",
    "a key in itself": "arms: &x\n  ? *x\n  : 1\n",
    "merged into itself": "arms: &x\n  <<: *x\n",
    "2,000 lists": "arms: " + "[" * 2000 + "]" * 2000,
    "2,000 mappings": "\n".join(" " * n + "a:" for n in range(2000)),
    "open lists": "arms: " + "[" * 2000,
    "a ladder of aliases": ladder(2000),
    "seven levels of ten": bomb(7),
    "thirty levels of ten": bomb(30),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_document_that_grows_is_refused_in_time(bad):
    began = time.monotonic()
    with pytest.raises(TooLarge):
        compose(BAD[bad])
    assert time.monotonic() - began < 20


COMMANDS = {
    "plan": lambda file, out: experiment.main([file, "--out", out]),
    "config": lambda file, out: stage1_judge.main(["--config", file, "--out", out, "--dry-run"]),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_grows_is_one_line(tmp_path, capsys, command, bad):
    file, out = tmp_path / "file.yaml", tmp_path / "out"
    file.write_text(BAD[bad])
    assert COMMANDS[command](str(file), str(out)) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert str(file) in line and re.search("alias|nested", line)
    assert not out.exists()


VALUES = {"list": "&x [*x]", "mapping": "&x {a: *x}", "deep": "[" * 2000 + "]" * 2000}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("key", ["cluster.rollout_engine.a", "cluster.rollout_engine", "data.train"])
def test_a_value_that_holds_itself_is_one_line(tmp_path, capsys, key, value):
    assert stage1_judge.main([f"{key}={VALUES[value]}", "--out", str(tmp_path / "out"), "--dry-run"]) == BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("value", VALUES)
def test_an_argument_of_the_engine_that_holds_itself_is_refused(value):
    with pytest.raises(InputError, match=r"alias|nested"):
        parse_engine_options([f"a={VALUES[value]}"])


@pytest.mark.parametrize("bad", BAD)
def test_a_suite_that_grows_is_refused(tmp_path, bad):
    (tmp_path / "suite.yaml").write_text(BAD[bad])
    with pytest.raises(InputError, match=r"alias|nested"):
        read_suite(tmp_path / "suite.yaml")


def test_ordinary_aliases_are_followed():
    assert load_yaml("a: &a [1, 2]\nb: *a\nc: {<<: &d {e: 1}, f: *a}") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"e": 1, "f": [1, 2]},
    }


def test_a_plan_shares_its_overrides_by_an_alias(tmp_path):
    stage = "{stages: [{stage: generate, name: %s}], overrides: %s}"
    (tmp_path / "plan.yaml").write_text(f"arms:\n  a: {stage % ('a', '&x [seed=1]')}\n  b: {stage % ('b', '*x')}\n")
    plan = read_plan(tmp_path / "plan.yaml")
    assert [arm.overrides for arm in plan.arms.values()] == [["seed=1"]] * 2


def test_a_configuration_shares_a_value_by_an_alias(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: &n 7\njudge:\n  stop:\n    steps: *n\n")
    config = load_config(str(tmp_path / "config.yaml"), [])
    assert (config.seed, config.judge.stop.steps) == (7, 7)


def test_the_bounds_themselves_are_allowed():
    deep = "[" * (MOST_DEPTH - 1) + "x" + "]" * (MOST_DEPTH - 1)
    assert compose(deep) is not None
    with pytest.raises(TooLarge):
        compose(f"[{deep}]")
    shared = f"a: &a [x]\nb: [{', '.join(['*a'] * (MOST_ADDED // 2 - 1))}]"
    assert compose(shared) is not None


def test_a_long_document_without_aliases_is_no_growth():
    assert len(load_yaml("\n".join(["- x"] * (MOST_ADDED + 5)))) == MOST_ADDED + 5


def test_yaml_is_read_in_one_place():
    """Elsewhere an alias would be followed without end."""
    reads = re.compile(r"yaml\.(safe_)?(load|compose)(_all)?\(|OmegaConf\.load\(")
    files = [file for room in ("judgerlvr", "rewards", "data") for file in (ROOT / room).rglob("*.py")]
    assert {file.name for file in files if reads.search(file.read_text())} == {"documents.py"}
