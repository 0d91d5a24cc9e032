"""What a distillation adds to its weights: equal with and without passes and recomputation, in the asked precision."""

import pytest
import torch
from safetensors.torch import load_file

from judgerlvr.hysparse.convert import main as run_convert
from judgerlvr.hysparse.distill import main
from judgerlvr.hysparse.model.attention import SparseAttention
from tests.helpers.tiny_sources import SHAPE, distilling, write_source, write_texts


@pytest.fixture
def command(tmp_path):
    """The source and options of six steps, without OUT."""
    source = write_source(tmp_path / "source", torch.float32)
    steps = ["--steps", "6", "--rows", "4", "--lr", "3e-4"]
    return [str(source), *distilling(write_texts(tmp_path / "texts.jsonl"), *SHAPE, *steps)]


def updates_of(command, out, start):
    """What six steps add to the weights of ``start``, in float32."""
    assert main([command[0], str(out), *command[1:], "--precision", "fp32"]) == 0
    return {name: weight - start[name] for name, weight in load_file(out / "model.safetensors").items()}


def distance(one, other):
    """Norm of the difference over the norm of ``one``, over all tensors."""
    norms = [
        sum(part.double().square().sum() for part in parts)
        for parts in ((one[name] - other[name] for name in one), one.values())
    ]
    return float((norms[0] / norms[1]).sqrt())


@pytest.mark.parametrize("extra", [["--rows-at-once", "1"], ["--recompute"]], ids=str)
def test_passes_and_recomputation_change_no_step(command, tmp_path, extra):
    """The steps are compared, because the weights themselves move by a thousandth."""
    assert run_convert([command[0], str(tmp_path / "start"), *SHAPE]) == 0
    start = load_file(tmp_path / "start" / "model.safetensors")
    plain, other = (
        updates_of(given, tmp_path / name, start) for name, given in (("a", command), ("b", command + extra))
    )
    assert plain.keys() == other.keys() == start.keys()
    assert distance(plain, other) < 1e-3


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_is_that_of_the_products(precision, dtype, command, tmp_path, monkeypatch):
    """The student's query projections, in steps and in evaluations alike."""
    seen, honest = [], SparseAttention.forward

    def watching(layer, *given, **named):
        with torch.no_grad():
            seen.append((layer.training, layer.q_proj(torch.zeros(1, 32)).dtype))
        return honest(layer, *given, **named)

    monkeypatch.setattr(SparseAttention, "forward", watching)
    assert main([command[0], str(tmp_path / "out"), *command[1:], "--precision", precision]) == 0
    assert set(seen) == {(True, dtype), (False, dtype)}
