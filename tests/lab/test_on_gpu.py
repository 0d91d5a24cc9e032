"""CUDA graphs and compiled pieces against a plain forward, at a tiny size and at the lab's own."""

import pytest
import torch

from benchmarks.lab import model
from benchmarks.lab.speed import measure


@pytest.mark.gpu
@pytest.mark.parametrize("cell", ["smoke", "chain-92-05"])
@pytest.mark.parametrize("compiled", [False, True])
def test_sampling_agrees_with_one_forward(monkeypatch, cell, compiled):
    monkeypatch.setattr(model, "PIECES", model.Pieces())
    if compiled:
        model.compile_pieces()
    assert measure(cell, torch.device("cuda"))["disagreement"] < 0.01
