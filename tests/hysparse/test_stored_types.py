"""The dtype of a result is the source's, also where config.json names none. Gates start at the given values."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.hysparse.distill import main as run_distill
from tests.helpers.checkpoint_faults import edit_config
from tests.helpers.tiny_sources import SHAPE, distilling, leave_out, searching, write_source, write_texts

DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


@pytest.fixture
def texts(tmp_path):
    return write_texts(tmp_path / "texts.jsonl")


def silent(folder):
    leave_out(folder / "config.json", "dtype", "torch_dtype")
    return folder


def types_of(folder):
    """Dtypes of all tensors but sinks, which are float32."""
    return {tensor.dtype for name, tensor in load_file(folder / "model.safetensors").items() if "sinks" not in name}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_conversion_keeps_the_dtype_that_no_configuration_names(dtype, tmp_path, capsys):
    source = silent(write_source(tmp_path / "source", dtype))
    assert run_convert([str(source), str(tmp_path / "plan"), *SHAPE, "--plan"]) == 0
    assert f"each once, in {str(dtype).removeprefix('torch.')} [" in capsys.readouterr().out
    assert run_convert([str(source), str(tmp_path / "out"), *SHAPE]) == 0
    assert types_of(tmp_path / "out") == {dtype}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_distillation_keeps_the_dtype_that_no_configuration_names(dtype, texts, tmp_path):
    source = silent(write_source(tmp_path / "source", dtype))
    assert run_distill([str(source), str(tmp_path / "out"), *distilling(texts, *SHAPE)]) == 0
    assert types_of(tmp_path / "out") == {dtype}


def test_a_student_keeps_its_own(texts, tmp_path):
    source = write_source(tmp_path / "source", torch.float32)
    half = write_source(tmp_path / "half")
    assert run_convert([str(half), str(tmp_path / "student"), *SHAPE]) == 0
    student = silent(tmp_path / "student")
    given = distilling(texts, "--student", str(student))
    assert run_distill([str(source), str(tmp_path / "out"), *given]) == 0
    assert types_of(tmp_path / "out") == {torch.bfloat16}


def test_most_numbers_decide(tmp_path):
    """One tensor of float32 has the first name, and transformers judges by the first tensor."""
    source = silent(write_source(tmp_path / "source"))
    tensors = load_file(source / "model.safetensors")
    first = min(tensors)
    tensors[first] = tensors[first].float()
    save_file(tensors, source / "model.safetensors", {"format": "pt"})
    assert run_convert([str(source), str(tmp_path / "out"), *SHAPE]) == 0
    assert types_of(tmp_path / "out") == {torch.bfloat16}


@pytest.mark.parametrize("name", ["float7", "int8", "auto", 7, "float8_e4m3fn", "complex64", "nn", "bfloat16 "])
def test_a_dtype_that_no_model_has_is_one_line(name, tmp_path, capsys):
    source = write_source(tmp_path / "source")
    edit_config(source, dtype=name)
    capsys.readouterr()
    code = run_convert([str(source), str(tmp_path / "out"), *SHAPE])
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1), (name, error)


def gates_of(folder):
    """Least and largest value of the sparse branch's gates and of the window branch's, for any input."""
    tensors = load_file(folder / "model.safetensors")
    parts = ([tensor for name, tensor in tensors.items() if f".{gate}.bias" in name] for gate in ("g_sparse", "g_swa"))
    return [bound.item() for part in parts for bound in torch.cat(part).sigmoid().aminmax()]


GIVEN = [(0.3, 0.9), (0.1, 0.4), (0.7, 0.2)]


def flags(sparse, window):
    return ["--gate-sparse", str(sparse), "--gate-window", str(window)]


@pytest.mark.parametrize(("sparse", "window"), GIVEN)
def test_gates_of_a_conversion_start_as_given(sparse, window, tmp_path):
    source = write_source(tmp_path / "source", torch.float32)
    assert run_convert([str(source), str(tmp_path / "out"), *SHAPE, *flags(sparse, window)]) == 0
    assert gates_of(tmp_path / "out") == pytest.approx([sparse, sparse, window, window], abs=1e-6)


@pytest.mark.parametrize(("sparse", "window"), GIVEN)
def test_gates_of_a_distillation_start_as_given(sparse, window, texts, tmp_path):
    """With no rate to speak of, each gate is where it started."""
    source = write_source(tmp_path / "source", torch.float32)
    given = [*distilling(texts, *SHAPE), "--lr", "1e-9", *flags(sparse, window)]
    assert run_distill([str(source), str(tmp_path / "out"), *given]) == 0
    assert gates_of(tmp_path / "out") == pytest.approx([sparse, sparse, window, window], abs=1e-6)


@pytest.mark.parametrize("given", [["--gate-sparse", "0.6"], ["--gate-window", "0.3"]], ids=str)
def test_gates_of_a_search_start_as_given(given, texts, tmp_path):
    """Another start gives another curve, apart from the point without a sparse layer."""
    source = write_source(tmp_path / "source", torch.float32)
    curves = []
    for name, more in (("default", []), ("given", given)):
        assert run_convert([str(source), str(tmp_path / name), *searching(texts), "--device", "cpu", *more]) == 0
        lines = (tmp_path / name / "placements.jsonl").read_text().splitlines()
        curves.append([json.loads(line)["searched"] for line in lines])
    assert [one == other for one, other in zip(*curves, strict=True)] == [True, False, False, False]
