"""Bad options, generated from their declared domains: each is one line with the option, before a model is loaded."""

import random

import pytest

from judgerlvr.config.domains import Range
from judgerlvr.hysparse import convert, distill, options, size
from judgerlvr.tinyworld.making.checkpoint import base_path
from tests.helpers.bad_values import CONTROL, NOT_NUMBERS, bad_text, outside
from tests.helpers.commands import exit_code_of

SEED, EACH = 20261128, 12
WRONG_LAYERS = ("1,2", "0,0", "0,3,1", "", "0,", "a", "0,-1", "0;1", "0 1", "0,1.5", "00,1,x")
PLACES = (options.RATIO, options.FULL_LAYERS)
COMMANDS = {
    "convert": (convert.main, (*PLACES, *options.SHAPE, *options.COSTS, *options.SEARCHING)),
    "distill": (distill.main, (*PLACES, *options.SHAPE, *options.TRAINING)),
    "size": (size.main, (*options.COSTS, options.KV_DTYPE)),
}


def bad_texts(option, draw):
    """Texts outside an option's domain, by the kind of the domain."""
    if isinstance(option.domain, Range):
        whole = option.kind is int
        return [*NOT_NUMBERS, *(outside(option.domain, draw, whole) for _ in range(EACH))] + ["1.5"] * whole
    if isinstance(option.domain, options.LayerNumbers):
        return [*WRONG_LAYERS, *CONTROL]
    return [bad_text(option.domain, draw) for _ in range(EACH)]


def good_command(name, tmp_path):
    if name == "size":
        return ["tiny"]
    paths = [str(base_path("qwen3")), str(tmp_path / "out")]
    (tmp_path / "texts.jsonl").write_text('{"text": "1"}\n' * 3)
    return [*paths, "--select-block", "16", *(["--texts", str(tmp_path / "texts.jsonl")] if name == "distill" else [])]


@pytest.fixture
def no_model(monkeypatch):
    """Any read of weights fails the test."""
    for module in ("converting", "distillation", "search"):
        monkeypatch.setattr(f"judgerlvr.hysparse.{module}.read_model", lambda *_: pytest.fail("a model was loaded"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_number_outside_its_domain_is_one_line(name, tmp_path, capsys, no_model):
    main, declared = COMMANDS[name]
    command, draw, wrong = good_command(name, tmp_path), random.Random(SEED), []
    for option in declared:
        for text in bad_texts(option, draw):
            code, error = exit_code_of(main, [*command, f"{option.flag}={text}"]), capsys.readouterr().err
            if code != 2 or error.count("\n") != 1 or option.flag not in error:
                wrong.append((option.flag, text, code, error))
    assert wrong == []


@pytest.mark.parametrize("option", [o for _, declared in COMMANDS.values() for o in declared], ids=lambda o: o.flag)
def test_every_default_lies_in_its_domain(option):
    assert option.default is None or option.domain.allows(option.default)


COMBINED = {
    "convert": [
        ["--select-tokens", "100"],
        ["--select-tokens", "8"],
        ["--full-layers", "0,6"],
        ["--full-layers", "0,1", "--sparse-ratio", "2"],
        ["--full-count", "2"],
        ["--card", "h100"],
        ["--nothing"],
    ],
    "distill": [
        ["--heldout", "3"],
        ["--device", "cuda:0"],
        ["--texts", "nowhere.jsonl"],
        ["--full-layers", "0,9"],
        ["--card", "h100"],
        ["--plan", "--precision", "fp32"],
        ["--plan", "--hidden", "1"],
        ["--plan", "--device", "cpu"],
    ],
    "size": [["more"], ["--context"]],
}


@pytest.mark.parametrize(("name", "extra"), [(n, e) for n, all_ in COMBINED.items() for e in all_], ids=str)
def test_options_that_disagree_are_one_line(name, extra, tmp_path, capsys, no_model):
    assert exit_code_of(COMMANDS[name][0], [*good_command(name, tmp_path), *extra]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


BROKEN = {
    "not JSON": "{",
    "a list": "[1]",
    "no type": "{}",
    "text for a number": '{"model_type": "qwen3", "head_dim": "x"}',
}


@pytest.mark.parametrize("name", ["convert", "distill", "size"])
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_configuration_is_one_line(name, case, tmp_path, capsys, no_model):
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text(BROKEN[case])
    (source / "model.safetensors").write_bytes(b"")
    command = [str(source), *good_command(name, tmp_path)[1:]]
    assert exit_code_of(COMMANDS[name][0], command) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
