"""A small chain world and small models: fixtures of the lab's tests."""

from __future__ import annotations

import pytest
import torch

from benchmarks.lab.model import Shape, initial_weights
from benchmarks.lab.worlds.chain import ChainConfig, ChainWorld

CPU = torch.device("cpu")


@pytest.fixture
def world() -> ChainWorld:
    return ChainWorld(ChainConfig(), CPU)


@pytest.fixture
def twin() -> ChainWorld:
    return ChainWorld(ChainConfig(replaces=False), CPU)


@pytest.fixture
def shape() -> Shape:
    return Shape(64, width=32, layers=2, heads=4, key_heads=2, head_width=8, hidden=48)


@pytest.fixture
def weights(shape) -> dict[str, torch.Tensor]:
    """Two models with large weights, so that no logit is near 0 and norms are not 1."""
    made = initial_weights(shape, [1, 2], CPU)
    draw = torch.Generator().manual_seed(3)
    return {
        name: 1 + 0.3 * torch.randn(value.shape, generator=draw) if name.startswith("norm") else 8 * value
        for name, value in made.items()
    }


@pytest.fixture
def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)
