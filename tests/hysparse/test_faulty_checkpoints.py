"""Source and student must hold what config.json asks for: each fault is one line, before weights are read."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

from data.jsonl import write_jsonl
from judgerlvr.hysparse.conversion.derived_files import copy_files
from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.hysparse.distill import main as run_distill
from judgerlvr.tinyworld.making.checkpoint import base_path
from tests.helpers.checkpoint_faults import OF_FOLDERS, OF_TENSORS, change_weights, edit_config, kinds_of_tensors
from tests.helpers.commands import exit_code_of
from tests.helpers.tiny_sources import SHAPE, SIZES

EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
FAMILIES = ("qwen3", "qwen3_moe")


def make_source(family):
    torch.manual_seed(0)
    if family == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**SIZES))
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(**SIZES, **EXPERTS))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Whole sources, a student of each, and texts."""
    root = tmp_path_factory.mktemp("made")
    for family in FAMILIES:
        make_source(family).to(torch.bfloat16).save_pretrained(root / family)
        copy_files(base_path("qwen3"), root / family)
        assert run_convert([str(root / family), str(root / f"{family}-student"), "--full-layers", "0,2", *SHAPE]) == 0
    write_jsonl(root / "texts.jsonl", [{"text": f"{n}+{n}=" * 20} for n in range(9)])
    return root


COMMANDS = ("convert", "plan", "search", "search plan", "distill", "distill plan", "student", "student plan")


def command_of(name, source, student, texts, out):
    """The function and the arguments of a command."""
    extra = ["--plan"] if name.endswith("plan") else []
    paths, length = [str(source), str(out)], ["--heldout", "3", "--length", "64"]
    if name.startswith(("distill", "student")):
        way = ["--student", str(student)] if name.startswith("student") else SHAPE
        return run_distill, [*paths, "--texts", str(texts), *length, "--steps", "1", "--rows", "2", *way, *extra]
    way = ["--search", str(texts), *length] if name.startswith("search") else []
    return run_convert, [*paths, *SHAPE, *way, *extra]


def refused(name, source, student, root, out, capsys):
    """The one line with which a command ends, and nothing is left at ``out``."""
    main, arguments = command_of(name, source, student, root / "texts.jsonl", out)
    capsys.readouterr()
    code, error = exit_code_of(main, arguments), capsys.readouterr().err
    # Loading draws bars before the line.
    lines = [line for line in error.splitlines() if not line.startswith(("Loading weights", "Writing model")) and line]
    assert (code, len(lines), out.exists()) == (2, 1, False), (code, lines)
    return lines[0]


@pytest.fixture
def no_model(monkeypatch):
    for module in ("conversion.converting", "distillation.distillation", "conversion.search"):
        monkeypatch.setattr(f"judgerlvr.hysparse.{module}.read_model", lambda *_: pytest.fail("a model was loaded"))


EVERY = [*(("qwen3", name) for name in COMMANDS), ("qwen3_moe", "plan"), ("qwen3_moe", "student plan")]


@pytest.mark.parametrize(("family", "name"), EVERY)
@pytest.mark.parametrize("case", OF_FOLDERS)
def test_a_source_that_is_not_whole_is_one_line(family, case, name, made, tmp_path, capsys, no_model):
    source = shutil.copytree(made / family, tmp_path / "faulty")
    OF_FOLDERS[case](source)
    assert "faulty" in refused(name, source, made / f"{family}-student", made, tmp_path / "out", capsys)


@pytest.mark.parametrize("name", ["student", "student plan"])
@pytest.mark.parametrize("case", OF_FOLDERS)
def test_a_student_that_is_not_whole_is_one_line(case, name, made, tmp_path, capsys, no_model):
    student = shutil.copytree(made / "qwen3-student", tmp_path / "faulty")
    OF_FOLDERS[case](student)
    assert "faulty" in refused(name, made / "qwen3", student, made, tmp_path / "out", capsys)


@pytest.mark.parametrize("fault", OF_TENSORS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("model", ["qwen3", "qwen3_moe", "qwen3-student", "qwen3_moe-student"])
def test_a_fault_of_any_tensor_is_one_line(model, fault, made, tmp_path, capsys, no_model):
    """Each kind of tensor in turn, by a plan, which must promise nothing for such a checkpoint."""
    source, student = model.removesuffix("-student"), f"{model.removesuffix('-student')}-student"
    for number, tensor in enumerate(kinds_of_tensors(made / model)):
        faulty = shutil.copytree(made / model, tmp_path / f"faulty-{number}")
        change_weights(faulty, lambda tensors, tensor=tensor: fault(tensors, tensor))
        name, of_student = ("student plan", faulty) if model == student else ("plan", made / student)
        of_source = made / source if model == student else faulty
        # A stored expert may lie in one tensor with others, or in a tensor of its own.
        part = tensor.partition(".experts.")[0]
        assert part in refused(name, of_source, of_student, made, tmp_path / "out", capsys)


LOADING = [("qwen3", "convert"), ("qwen3", "search"), ("qwen3", "student"), ("qwen3_moe", "distill")]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("family", "name"), LOADING)
def test_a_value_that_is_no_number_in_any_tensor_is_one_line(family, name, value, made, tmp_path, capsys):
    """One value of each kind of tensor in turn."""
    for number, tensor in enumerate(kinds_of_tensors(made / family)):
        faulty = shutil.copytree(made / family, tmp_path / f"faulty-{number}")
        change_weights(faulty, lambda tensors, tensor=tensor: tensors[tensor].view(-1)[-1:].fill_(value))
        error = refused(name, faulty, made / f"{family}-student", made, tmp_path / "out", capsys)
        assert "holds a NaN or an infinity" in error


@pytest.mark.parametrize("name", ["search", "distill", "student"])
def test_a_source_whose_loss_overflows_is_one_line(name, made, tmp_path, capsys):
    """Each weight is a number, and the loss is none."""
    faulty = shutil.copytree(made / "qwen3", tmp_path / "faulty")
    change_weights(faulty, lambda tensors: tensors["model.norm.weight"].fill_(3e38))
    error = refused(name, faulty, made / "qwen3-student", made, tmp_path / "out", capsys)
    assert "loss of the source is " in error


def test_a_student_whose_weights_are_no_numbers_is_one_line(made, tmp_path, capsys):
    student = shutil.copytree(made / "qwen3-student", tmp_path / "faulty")
    change_weights(student, lambda tensors: tensors["model.norm.weight"].fill_(float("nan")))
    error = refused("student", made / "qwen3", student, made, tmp_path / "out", capsys)
    assert "tensor model.norm.weight holds a NaN" in error


@pytest.mark.parametrize("name", COMMANDS)
def test_no_code_of_a_folder_runs_and_nobody_is_asked(name, made, tmp_path, capsys, monkeypatch):
    """A model type that transformers does not know, with code beside it."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question"))
    source = shutil.copytree(made / "qwen3", tmp_path / "faulty")
    edit_config(source, model_type="mine", auto_map={"AutoConfig": "code.Mine", "AutoModelForCausalLM": "code.Mine"})
    (source / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert "start from one of qwen3" in refused(name, source, made / "qwen3-student", made, tmp_path / "out", capsys)
    assert not (tmp_path / "ran").exists()


def fresh(*arguments):
    """A command in an interpreter of its own, with nobody to answer a question."""
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def test_a_fresh_interpreter_trains_a_converted_folder_further(made, tmp_path):
    _, arguments = command_of("student", made / "qwen3", made / "qwen3-student", made / "texts.jsonl", tmp_path / "out")
    ended = fresh("judgerlvr.hysparse.distill", *arguments)
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "hysparse"


def test_a_fresh_interpreter_knows_a_hysparse_model_and_does_not_convert_it(tmp_path):
    ended = fresh("judgerlvr.hysparse.convert", base_path("hysparse"), tmp_path / "out")
    assert ended.returncode == 2
    assert "cannot convert a 'hysparse' model" in ended.stderr
