"""Conversion of a directory: nothing is overwritten, what belongs to the model is carried, and memory is held once."""

import json
from itertools import product

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

import judgerlvr.hysparse.model.registration  # noqa: F401
from judgerlvr.hysparse.conversion.conversion import adopt, check_kernels, config_from, convert
from judgerlvr.hysparse.conversion.derived_files import copy_files
from judgerlvr.hysparse.conversion.options import InitialValues
from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.hysparse.distill import main as run_distill
from judgerlvr.hysparse.ops.kernel_shapes import BLOCKS, refusals
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError
from tests.helpers.tiny_sources import SIZES

GENERATION = {"eos_token_id": [1, 7], "temperature": 0.6, "top_k": 20, "do_sample": True}


def make_source(**changes):
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**SIZES | changes)).eval()


@pytest.fixture
def source(tmp_path):
    """Directory of a bfloat16 model with generation settings, tokenizer and chat template."""
    folder = tmp_path / "source"
    make_source().to(torch.bfloat16).save_pretrained(folder)
    copy_files(base_path("qwen3"), folder)
    (folder / "generation_config.json").write_text(json.dumps(GENERATION))
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def distill_options(tmp_path):
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "1 + 1 = 2"}\n' * 3)
    return ["--texts", str(texts), "--heldout", "1", "--steps", "1", "--length", "32"]


@pytest.mark.parametrize("command", ["convert", "distill"])
@pytest.mark.parametrize("place", ["source", "link to source", "other folder", "empty folder", "file", "dangling link"])
def test_nothing_is_written_over(command, place, source, tmp_path, capsys):
    out = tmp_path / "out"
    if place == "source":
        out = source
    elif place == "link to source":
        out.symlink_to(source)
    elif place == "dangling link":
        out.symlink_to(tmp_path / "nowhere")
    elif place == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        if place == "other folder":
            (out / "distill.jsonl").write_text("mine")
    extra = distill_options(tmp_path) if command == "distill" else []
    before = contents(tmp_path)
    capsys.readouterr()
    assert {"convert": run_convert, "distill": run_distill}[command]([str(source), str(out), *extra]) == 2
    assert "something is there already" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_generation_settings_tokenizer_and_dtype_are_carried(source, tmp_path):
    out = tmp_path / "new" / "out"
    assert run_convert([str(source), str(out)]) == 0
    assert json.loads((out / "generation_config.json").read_text()) == GENERATION
    model = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
    assert (model.dtype, model.config.dtype) == (torch.bfloat16, torch.bfloat16)
    assert model.generation_config.eos_token_id == [1, 7]
    turn = [{"role": "user", "content": "1 + 1"}]
    texts = [AutoTokenizer.from_pretrained(d).apply_chat_template(turn, tokenize=False) for d in (source, out)]
    assert texts[0] == texts[1]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_failed_conversion_leaves_no_folder(source, tmp_path, capsys):
    (source / "model.safetensors").write_bytes(b"cut")
    assert run_convert([str(source), str(tmp_path / "out")]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_library_conversion_copies_the_weights():
    source = make_source()
    before = source.model.embed_tokens.weight.detach().clone()
    convert(source, sparse_ratio=1).model.embed_tokens.weight.data.zero_()
    torch.testing.assert_close(source.model.embed_tokens.weight.detach(), before)


@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("tied", [True, False])
def test_the_command_holds_each_weight_once(width, tied):
    """At two sizes: the model has the source's storage, and new storage for gates and sinks alone."""
    source = make_source(hidden_size=width, tie_word_embeddings=tied)
    model = adopt(source.state_dict(), config_from(source.config, sparse_ratio=1), InitialValues())
    held = {parameter.data_ptr() for parameter in source.parameters()}
    own = {name for name, parameter in model.named_parameters() if parameter.data_ptr() not in held}
    assert all(".g_" in name or "sinks" in name for name in own)
    assert len(held) == len(list(model.parameters())) - len(own)
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


GROUPS, DIMS = (0, 1, 2, 3, 4, 5, 8, 10, 16, 32, 512), (0, 8, 16, 24, 64, 80, 128, 256, 1024)


def test_conversion_refuses_what_kernels_refuse(monkeypatch):
    """Every group x dim x block: conversion and the kernels' own rule agree with a rule written out here.

    Tests of the kernels compile groups up to 16 and head dims up to 128.
    """
    for group, dim, block in product(GROUPS, DIMS, (1, 8, 16, 48, 64, 128, 256)):
        taken = group in (1, 2, 4, 8, 16) and dim in (16, 64, 128) and block in (16, 64, 128)
        assert taken == (not refusals(group, dim, block))
    assert BLOCKS == (16, 32, 64, 128)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ({"num_attention_heads": 10}, []),
        ({"head_dim": 24}, []),
        ({"head_dim": 8}, []),
        ({"head_dim": 256}, []),
        ({"num_attention_heads": 64}, ["--plan"]),
        ({"num_attention_heads": 512, "num_key_value_heads": 1}, ["--plan"]),
        ({}, ["--select-block", "1"]),
        ({}, ["--select-block", "256"]),
    ],
    ids=str,
)
def test_a_shape_without_kernel_is_refused_before_weights(shape, options, tmp_path, capsys, monkeypatch):
    source = make_source(**shape)
    source.save_pretrained(tmp_path / "source")
    monkeypatch.setattr("judgerlvr.hysparse.conversion.converting.read_model", None)
    capsys.readouterr()
    assert run_convert([str(tmp_path / "source"), str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: no kernel takes ") and error.count("\n") == 1


def test_kernels_take_the_shape_of_qwen3_8b_and_not_of_14b():
    """Head counts from the models' public configurations: 32 query and 8 KV heads, 40 and 8."""
    eight = make_source().config
    eight.num_attention_heads, eight.num_key_value_heads, eight.head_dim = 32, 8, 128
    check_kernels(config_from(eight))
    eight.num_attention_heads = 40
    with pytest.raises(InputError, match="no kernel takes group 5"):
        check_kernels(config_from(eight))


def test_the_plan_reads_no_weight_and_writes_nothing(source, tmp_path, capsys):
    """The header is right, and the weights behind it are not numbers."""
    weights = (source / "model.safetensors").read_bytes()
    header = 8 + int.from_bytes(weights[:8], "little")
    (source / "model.safetensors").write_bytes(weights[:header] + b"\xff" * (len(weights) - header))
    before = contents(tmp_path)
    options = ["--plan", "--context", "8192", "--batch", "4", "--full-layers", "0,2"]
    assert run_convert([str(source), str(tmp_path / "out"), *options]) == 0
    shown = capsys.readouterr().out
    assert contents(tmp_path) == before
    assert (
        "layers f s f s" in shown
        and "to read and write the weights" in shown
        and "2 query heads a KV head of dim 16" in shown
    )
    # 2 full layers x 8,192 tokens, and 2 windows of 128: keys and values of 2 heads of 16, 2 bytes each, 4 sequences.
    assert f"{4 * (2 * 8192 + 2 * 128) * 2 * 2 * 16 * 2 / 2**20:,.1f}" in shown


def test_the_plan_counts_the_memory_of_the_tensors(source, tmp_path, capsys):
    assert run_convert([str(source), str(tmp_path / "out"), "--plan"]) == 0
    model = convert(AutoModelForCausalLM.from_pretrained(source, dtype="auto"))
    gates = sum(p.numel() * p.element_size() for name, p in model.named_parameters() if ".g_" in name)
    rest = sum(p.numel() * p.element_size() for name, p in model.named_parameters() if ".g_" not in name)
    assert f"{rest / 2**20:,.1f} MiB of weights and {gates / 2**20:,.1f} MiB of gates" in capsys.readouterr().out


def test_an_evenly_spaced_placement_is_called_unmeasured(source, tmp_path, capsys):
    assert run_convert([str(source), str(tmp_path / "even"), "--sparse-ratio", "2"]) == 0
    assert "a placement that nobody measured" in capsys.readouterr().out
    assert run_convert([str(source), str(tmp_path / "given"), "--full-layers", "0,1"]) == 0
    assert "nobody measured" not in capsys.readouterr().out
    kinds = AutoModelForCausalLM.from_pretrained(tmp_path / "given").config.layer_types
    assert [kind[0] for kind in kinds] == ["f", "f", "s", "s"]
