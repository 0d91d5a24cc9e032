"""Two sets of weights in a folder: a stage and a conversion refuse each way, and take a single set in each form."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from judgerlvr.config.load import ROOT
from judgerlvr.hysparse.agreement import comparison
from judgerlvr.hysparse.agreement.__main__ import parse_arguments
from judgerlvr.hysparse.conversion.conversion import read_model
from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.models.directory import check_model
from judgerlvr.models.tensors import HEAD, check_tensors
from judgerlvr.models.weights import check_weights, weight_files
from rewards.errors import InputError
from tests.helpers.checkpoint_faults import change_weights, edit_config
from tests.helpers.weight_sets import ONE_SET, WAYS, WHOLE

BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"
LOST, EMBEDDING = "model.layers.2.mlp.up_proj.weight", "model.embed_tokens.weight"
SHAPE = ["--select-block", "16", "--select-tokens", "16", "--window", "6"]


@pytest.fixture
def model(tmp_path):
    return Path(shutil.copytree(BASE, tmp_path / "model"))


@pytest.mark.parametrize("way", WAYS)
def test_a_stage_refuses_two_sets_of_weights(way, model):
    WAYS[way](model, LOST)
    with pytest.raises(InputError) as caught:
        check_model(model, 64)
    assert "\n" not in str(caught.value) and str(model) in str(caught.value)


@pytest.mark.parametrize("extra", [[], ["--plan"]], ids=["convert", "plan"])
@pytest.mark.parametrize("way", WAYS)
def test_a_conversion_refuses_two_sets_of_weights(way, extra, model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("judgerlvr.hysparse.conversion.converting.read_model", None)
    WAYS[way](model, LOST)
    assert run_convert([str(model), str(tmp_path / "out"), *SHAPE, *extra]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_comparison_of_engines_refuses_two_sets_of_weights(way, model, monkeypatch):
    monkeypatch.setattr(comparison, "roll_out", lambda *_: pytest.fail("an engine was started"))
    WAYS[way](model, LOST)
    with pytest.raises(InputError):
        comparison.run(parse_arguments([str(model)]))


@pytest.mark.parametrize("form", ONE_SET)
def test_one_set_is_taken_in_each_form(form, model):
    ONE_SET[form](model, LOST)
    check_model(model, 64)


@pytest.mark.parametrize("form", ONE_SET)
def test_the_files_are_those_that_transformers_reads(form, model, monkeypatch):
    """Each file that transformers opens, by a spy on the library."""
    from transformers import modeling_utils

    ONE_SET[form](model, LOST)
    opened = []
    honest = modeling_utils.safe_open
    monkeypatch.setattr(
        modeling_utils, "safe_open", lambda path, *a, **k: opened.append(Path(path)) or honest(path, *a, **k)
    )
    AutoModelForCausalLM.from_pretrained(model)
    assert sorted(set(opened)) == sorted(weight_files(model))


@pytest.mark.parametrize("form", ONE_SET)
def test_the_files_are_those_that_vllm_reads(form, model):
    loader = pytest.importorskip("vllm.model_executor.model_loader.default_loader")
    config = pytest.importorskip("vllm.config.load")
    ONE_SET[form](model, LOST)
    _, files, _, _ = loader.DefaultModelLoader(config.LoadConfig())._prepare_weights(str(model), None, None, True, None)
    assert sorted(map(Path, files)) == sorted(weight_files(model))


def test_a_tensor_that_transformers_fills_ends_the_loading(model):
    """Behind the check of the headers, in case a later transformers reads other files."""
    change_weights(model, lambda tensors: tensors.pop(LOST))
    with pytest.raises(InputError, match=f"found no tensor {LOST}"):
        read_model(model, torch.float32)


def test_two_sets_are_told_without_a_configuration(model):
    """As of the policy of a finished run."""
    WAYS["shards beside a stale whole file"](model, LOST)
    with pytest.raises(InputError, match=f"two sets of weights: {WHOLE} is read"):
        check_weights(model)


def with_head(folder, head):
    """Store a head beside the embedding."""
    change_weights(folder, lambda tensors: tensors.update({HEAD: head(tensors[EMBEDDING])}))


OTHER_HEADS = {
    "one number": lambda embedding: embedding.clone().index_put_(
        (torch.tensor([7]), torch.tensor([3])), embedding[0, 0]
    ),
    "the last number": lambda embedding: torch.cat([embedding[:-1], embedding[-1:] + 1]),
    "all numbers": torch.zeros_like,
    "other rows": lambda embedding: embedding.flip(0),
    "fewer rows": lambda embedding: embedding[:-1].clone(),
    "fewer columns": lambda embedding: embedding[:, :-1].clone(),
}


@pytest.mark.parametrize("rows", [3, 10**6])
@pytest.mark.parametrize("case", OTHER_HEADS)
def test_a_tied_head_of_other_numbers_is_refused(case, rows, model, monkeypatch):
    monkeypatch.setattr("judgerlvr.models.tensors.ROWS", rows)
    with_head(model, OTHER_HEADS[case])
    with pytest.raises(InputError, match=f"{HEAD} differs from {EMBEDDING}, and config.json ties them"):
        check_tensors(model, False)


@pytest.mark.parametrize("cast", [torch.float32, torch.float64], ids=str)
def test_a_tied_head_of_the_embeddings_numbers_is_taken(cast, model):
    with_head(model, lambda embedding: embedding.clone().to(cast))
    check_tensors(model, False)


def test_an_untied_head_may_differ(model):
    with_head(model, torch.zeros_like)
    edit_config(model, tie_word_embeddings=False)
    check_tensors(model, False)


def test_a_tied_head_of_other_numbers_is_refused_by_the_plan(model, tmp_path, capsys):
    with_head(model, torch.zeros_like)
    assert run_convert([str(model), str(tmp_path / "out"), *SHAPE, "--plan"]) == 2
    assert f"{HEAD} differs" in capsys.readouterr().err


def adapter(folder):
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "x", "r": 8}')


def adapter_with_weights(folder):
    adapter(folder)
    save_file({"base_model.model.lm_head.lora_A.weight": torch.zeros(8, 8)}, folder / "adapter_model.safetensors")


def adapter_alone(folder):
    for path in folder.iterdir():
        path.unlink()
    adapter_with_weights(folder)


ADAPTERS = (adapter, adapter_with_weights, adapter_alone)


@pytest.mark.parametrize("put", ADAPTERS)
def test_a_stage_refuses_an_adapter(put, model):
    put(model)
    with pytest.raises(InputError, match="merge the adapter first"):
        check_model(model, 64)


@pytest.mark.parametrize("extra", [[], ["--plan"]], ids=["convert", "plan"])
@pytest.mark.parametrize("put", ADAPTERS)
def test_a_conversion_refuses_an_adapter(put, extra, model, tmp_path, capsys):
    put(model)
    assert run_convert([str(model), str(tmp_path / "out"), *SHAPE, *extra]) == 2
    assert "merge the adapter first" in capsys.readouterr().err
