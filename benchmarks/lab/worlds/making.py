"""Each kind of world by its configuration."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.lab.worlds.base import World
from benchmarks.lab.worlds.chain import ChainConfig, ChainWorld
from benchmarks.lab.worlds.demo import DemoWorld
from benchmarks.lab.worlds.demo_facts import DemoConfig
from benchmarks.lab.worlds.gate import GateWorld
from benchmarks.lab.worlds.gate_facts import GateConfig

WorldConfig = ChainConfig | GateConfig | DemoConfig


def stored_world(settings: dict[str, Any]) -> WorldConfig:
    """The configuration in a record. Fields that an older record lacks have defaults."""
    if "tries" in settings:
        return DemoConfig(**settings)
    return GateConfig(**settings) if "gates" in settings else ChainConfig(**settings)


def make_world(config: WorldConfig, device: torch.device) -> World:
    if isinstance(config, DemoConfig):
        return DemoWorld(config, device)
    return ChainWorld(config, device) if isinstance(config, ChainConfig) else GateWorld(config, device)
