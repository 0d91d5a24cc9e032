"""Faults of a model's two configurations: each is one line before a weight is read, so that no work is lost."""

import json
import math
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import StrictDataclassFieldValidationError
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from judgerlvr.hysparse.conversion.conversion import read_model
from judgerlvr.hysparse.conversion.storable import check_storable
from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.hysparse.distill import main as run_distill
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.model.presets import preset
from judgerlvr.hysparse.size import main as size
from rewards.errors import InputError
from tests.helpers.checkpoint_faults import edit_config
from tests.helpers.commands import exit_code_of
from tests.helpers.tiny_sources import SHAPE, SIZES, distilling, searching, write_source, write_texts

EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
COMMANDS = ("convert", "convert plan", "search", "search plan", "distill", "distill plan")
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}
YARN |= {"attention_factor": 1.0, "beta_fast": 32.0, "beta_slow": 1.0}
SWITCHES = [name for name, kind in HySparseConfig.__annotations__.items() if kind == "bool"]


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "source")


@pytest.fixture
def answer(tmp_path, capsys, monkeypatch):
    """Exit code and error of a command that may load no model. Nothing is left."""
    for module in ("conversion.converting", "distillation.distillation", "conversion.search"):
        monkeypatch.setattr(f"judgerlvr.hysparse.{module}.read_model", lambda *_: pytest.fail("a model was loaded"))
    texts = write_texts(tmp_path / "texts.jsonl")

    def run(command: str, source: Path, *more: str) -> tuple[int, str]:
        capsys.readouterr()
        main = run_distill if command.startswith("distill") else run_convert
        options = {"convert": SHAPE, "search": searching(texts), "distill": distilling(texts, *(more or SHAPE))}
        plan = ["--plan"] if command.endswith("plan") else []
        plan += [] if command != "distill plan" else ["--card", "h200"]
        given = [part for part in options[command.split()[0]] if part not in ("--device", "cpu")]
        code = exit_code_of(main, [str(source), str(tmp_path / "out"), *given, *plan])
        assert not (tmp_path / "out").exists()
        return code, capsys.readouterr().err

    return run


def assert_refused(found, word):
    code, error = found
    assert (code, error.count("\n")) == (2, 1) and word in error, error


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
@pytest.mark.parametrize("fault", [("pad_token_id", -1), ("eos_token_id", 100_000), ("bos_token_id", 512)], ids=str)
def test_a_token_outside_the_vocabulary_is_refused(fault, file, command, source, answer):
    path = source / file
    keys = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(keys | dict([fault])))
    assert_refused(answer(command, source), f"{fault[0]} {fault[1]} is no token")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_sampling_setting_that_an_engine_refuses_is_refused(command, source, answer):
    (source / "generation_config.json").write_text('{"temperature": -1}')
    assert_refused(answer(command, source), "temperature is -1")


@pytest.mark.parametrize(("fault", "word"), [("max_new_tokens", "no model can"), ("pad_token_id", "does not store")])
def test_what_could_not_be_stored_at_the_end_is_refused(fault, word, tmp_path):
    """Whatever transformers refuses, as when the model itself is stored."""
    config = preset("tiny", **{fault: -1})
    with pytest.raises(ValueError, match=fault):
        HySparseForCausalLM(config).save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match=word):
        check_storable(config, tmp_path)


def test_a_students_source_without_a_context_is_refused(source, answer, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("judgerlvr.hysparse.conversion.converting.read_model", read_model)
        assert run_convert([str(source), str(tmp_path / "student"), *SHAPE]) == 0
    edit_config(source, rope_parameters=YARN | {"factor": math.inf})
    assert_refused(answer("distill plan", source, "--student", str(tmp_path / "student")), "rotary settings")


@pytest.mark.parametrize("command", ["distill", "distill plan"])
def test_a_student_that_could_not_be_stored_is_refused(command, source, answer, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("judgerlvr.hysparse.conversion.converting.read_model", read_model)
        assert run_convert([str(source), str(tmp_path / "student"), *SHAPE]) == 0
    edit_config(tmp_path / "student", max_new_tokens=-1)
    assert_refused(answer(command, source, "--student", str(tmp_path / "student")), "max_new_tokens")


@pytest.mark.parametrize("command", ["convert plan", "distill plan"])
@pytest.mark.parametrize("wrong", [None, True, 1.5, "6", []], ids=str)
def test_a_number_of_experts_that_is_none_is_refused(wrong, command, source, answer):
    torch.manual_seed(0)
    Qwen3MoeForCausalLM(Qwen3MoeConfig(**SIZES, **EXPERTS)).save_pretrained(source)
    edit_config(source, num_local_experts=wrong)
    assert_refused(answer(command, source), "num_experts")


@pytest.mark.parametrize("wrong", ["false", 0, None, [], 1.0], ids=str)
@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_is_true_or_false(name, wrong):
    with pytest.raises((ValueError, StrictDataclassFieldValidationError), match=name):
        HySparseConfig(**{name: wrong})


def test_a_folder_whose_switch_is_a_word_is_one_line(tmp_path, capsys):
    HySparseConfig(num_hidden_layers=4).save_pretrained(tmp_path)
    edit_config(tmp_path, sinks="false")
    assert size([str(tmp_path)]) == 2
    assert "sinks must be true or false, not 'false'" in (error := capsys.readouterr().err) and error.count("\n") == 1


@pytest.mark.parametrize("command", ["convert plan", "distill plan"])
@pytest.mark.parametrize("wrong", ["4", None, -4, math.inf, [4]], ids=str)
@pytest.mark.parametrize("leaf", YARN)
def test_rotary_settings_of_any_kind_are_no_traceback(leaf, wrong, command, source, answer):
    """Some of them mean something to transformers. All others are one line."""
    edit_config(source, rope_parameters=YARN | {leaf: wrong})
    code, error = answer(command, source)
    assert code == 0 or (code, error.count("\n")) == (2, 1), error


@pytest.mark.parametrize("command", ["convert plan", "distill plan"])
@pytest.mark.parametrize("fault", [("original_max_position_embeddings", "4"), ("factor", math.inf)], ids=str)
def test_rotary_settings_without_a_context_are_refused(fault, command, source, answer):
    edit_config(source, rope_parameters=YARN | dict([fault]))
    assert_refused(answer(command, source), "rope")
