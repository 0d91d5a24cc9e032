"""Bad options, generated from their declared domains: each is one line with the option, before a model is loaded."""

import json
import random
import shutil

import pytest

from judgerlvr.config.domains import Range
from judgerlvr.hysparse import convert, distill, size
from judgerlvr.hysparse.agreement import __main__ as agreement
from judgerlvr.hysparse.agreement import comparison
from judgerlvr.hysparse.conversion import options
from judgerlvr.hysparse.model.config import LEAST
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
    "agreement": (agreement.main, agreement.OPTIONS),
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
    if name == "agreement":
        return [str(base_path("hysparse"))]
    paths = [str(base_path("qwen3")), str(tmp_path / "out")]
    (tmp_path / "texts.jsonl").write_text('{"text": "1"}\n' * 3)
    return [*paths, "--select-block", "16", *(["--texts", str(tmp_path / "texts.jsonl")] if name == "distill" else [])]


@pytest.fixture
def no_model(monkeypatch):
    """Any read of weights fails the test."""
    for module in ("conversion.converting", "distillation.distillation", "conversion.search"):
        monkeypatch.setattr(f"judgerlvr.hysparse.{module}.read_model", lambda *_: pytest.fail("a model was loaded"))
    monkeypatch.setattr(comparison, "roll_out", lambda *_: pytest.fail("an engine was started"))


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
        ["--steps", "2", "--warmup", "3"],
        ["--warmup", "201"],
    ],
    "size": [["more"], ["--context"]],
    "agreement": [
        ["more"],
        ["--seed", "9" * 23],
        ["--engine", "enforce_eager"],
        ["--engine", "dtype=float32"],
        ["--prompt-tokens", "600"],
        ["--new-tokens", "600"],
        ["--prompt-tokens", "384", "--new-tokens", "129"],
    ],
}


@pytest.mark.parametrize(("name", "extra"), [(n, e) for n, all_ in COMBINED.items() for e in all_], ids=str)
def test_options_that_disagree_are_one_line(name, extra, tmp_path, capsys, no_model):
    assert exit_code_of(COMMANDS[name][0], [*good_command(name, tmp_path), *extra]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


OTHER = {"--heldout": "5", "--length": "300", "--rows": "2", "--device": "cpu", "--full-count": "2"}
OTHER |= {"--context": "4096", "--batch": "2", "--card": "h100"}


@pytest.mark.parametrize("option", [*options.SEARCHING, *options.COSTS, options.CARD], ids=lambda option: option.flag)
def test_an_option_that_a_conversion_would_not_read_is_one_line(option, tmp_path, capsys, no_model):
    command = [*good_command("convert", tmp_path), option.flag, OTHER[option.flag]]
    assert exit_code_of(convert.main, command) == 2
    error = capsys.readouterr().err
    assert option.flag in error and error.count("\n") == 1


@pytest.mark.parametrize("option", [*options.SEARCHING, *options.COSTS], ids=lambda option: option.flag)
def test_an_unread_option_is_refused_also_with_its_default_written_out(option, tmp_path, capsys, no_model):
    text = OTHER[option.flag] if option.default is None else str(option.default)
    assert exit_code_of(convert.main, [*good_command("convert", tmp_path), option.flag, text]) == 2
    error = capsys.readouterr().err
    assert option.flag in error and error.count("\n") == 1


@pytest.mark.parametrize("option", options.SHAPE, ids=lambda option: option.flag)
def test_a_student_takes_no_option_of_a_conversion_also_with_its_default_written_out(
    option, tmp_path, capsys, no_model
):
    command = [word for word in good_command("distill", tmp_path) if word not in ("--select-block", "16")]
    command += ["--student", str(base_path("hysparse")), option.flag, str(option.default)]
    assert exit_code_of(distill.main, command) == 2
    error = capsys.readouterr().err
    assert f"{option.flag} is for a conversion" in error and error.count("\n") == 1


def test_a_warmup_that_ends_with_the_last_step_is_taken(tmp_path, capsys, no_model):
    """The plan reads no weight."""
    command = [*good_command("distill", tmp_path), "--heldout", "1", "--steps", "3", "--warmup", "3", "--plan"]
    (tmp_path / "texts.jsonl").write_text("".join(f'{{"text": "{n} + 1"}}\n' for n in range(3)))
    assert exit_code_of(distill.main, command) == 0, capsys.readouterr().err


def test_a_plan_names_the_device_that_it_would_not_read(tmp_path, capsys, no_model):
    assert exit_code_of(convert.main, [*good_command("convert", tmp_path), "--plan", "--device", "cpu"]) == 2
    assert "--device" in capsys.readouterr().err


# Values that no size of a model has. ``v_head_dim`` may be None.
NOT_SIZES = (0, -1, -4, 1.5, "many", None, [], {}, [3], True)
SIZES = [name for name, least in LEAST.items() if least == 1]


def edited_base(folder, base, **changes):
    """A copy of a shipped base with other keys in its config.json."""
    shutil.copytree(base_path(base), folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def ends_in_one_line(main, arguments, capsys):
    capsys.readouterr()
    code, error = exit_code_of(main, arguments), capsys.readouterr().err
    return code == 2 and error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.parametrize("field", [*SIZES, "v_head_dim"])
def test_no_size_of_a_hysparse_folder_is_nonsense(field, tmp_path, capsys):
    """What transformers turns into a whole number, such as a missing value into a default, may pass."""
    wrong = []
    for number, value in enumerate(NOT_SIZES):
        if value is None and field in ("v_head_dim", "num_key_value_heads"):
            continue
        folder = edited_base(tmp_path / str(number), "hysparse_moe", **{field: value})
        if not ends_in_one_line(size.main, [str(folder)], capsys):
            wrong.append(value)
    assert wrong == []


@pytest.mark.parametrize("name", ["convert", "distill"])
@pytest.mark.parametrize("field", ["num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"])
def test_no_size_of_a_source_is_nonsense(field, name, tmp_path, capsys, no_model):
    wrong = []
    for number, value in enumerate(NOT_SIZES):
        source = edited_base(tmp_path / str(number), "qwen3", **{field: value})
        if not ends_in_one_line(COMMANDS[name][0], [str(source), *good_command(name, tmp_path)[1:]], capsys):
            wrong.append(value)
    assert wrong == []


@pytest.mark.parametrize("factor", [-0.5, 0, 0.03, 0.1, 0.3, 1.01, 7.0, float("nan"), "half", None])
def test_a_share_of_a_head_that_cannot_turn_is_one_line(factor, tmp_path, capsys):
    """Heads of the base have 32 dims, which turn in pairs."""
    keys = json.loads((base_path("hysparse") / "config.json").read_text())
    turned = keys["rope_parameters"] | {"partial_rotary_factor": factor}
    folder = edited_base(tmp_path / "model", "hysparse", rope_parameters=turned)
    assert ends_in_one_line(size.main, [str(folder)], capsys)


def test_a_source_that_turns_a_part_of_each_head_is_one_line(tmp_path, capsys, no_model):
    """HySparse's kernels turn whole heads, and Qwen3 ignores the key."""
    keys = json.loads((base_path("qwen3") / "config.json").read_text())
    turned = keys["rope_parameters"] | {"partial_rotary_factor": 0.5}
    source = edited_base(tmp_path / "model", "qwen3", rope_parameters=turned)
    assert ends_in_one_line(convert.main, [str(source), str(tmp_path / "out")], capsys)


BROKEN = {
    "not JSON": "{",
    "a list": "[1]",
    "no type": "{}",
    "empty": "",
    "two braces": "{{",
    "a number": "3",
    "a type that nobody knows": '{"model_type": "mine"}',
    "a type that is no text": '{"model_type": [1]}',
    "text for a number": '{"model_type": "qwen3", "head_dim": "x"}',
}


@pytest.mark.parametrize("name", COMMANDS)
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
