"""Engines as the driver of a sampling run sees them: slots that load a model, take requests and may be lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from judgerlvr.config.check import gpus_of_machine
from judgerlvr.config.schema import Cluster
from judgerlvr.runs.request import Place
from judgerlvr.sampling.requests import Finished, Request


def engine_arguments(cluster: Cluster, device: Literal["cpu", "gpu"]) -> dict[str, Any]:
    """vLLM's arguments on this device. An argument that a person names in ``cluster.rollout_engine`` wins."""
    share = {"gpu_memory_utilization": cluster.rollout_gpu_share} if device == "gpu" else {}
    return {**share, **cluster.rollout_engine}


@dataclass(frozen=True)
class EngineSettings:
    """Where engines run. ``count`` None: one engine a group of ``tensor_parallel`` GPUs on the whole cluster.

    ``arguments`` are those of ``vllm.LLM``. ``ray_address`` None starts a private cluster on this machine.
    ``kv_cache_gib`` counts on a CPU only.
    """

    device: Literal["cpu", "gpu"]
    count: int | None = None
    tensor_parallel: int = 1
    arguments: Mapping[str, Any] = field(default_factory=dict)
    ray_address: str | None = None
    kv_cache_gib: float = 1.0

    @classmethod
    def of_place(cls, place: Place) -> EngineSettings:
        """One engine on a CPU, and on GPUs an engine for each tensor-parallel group of the configured cluster."""
        cluster = place.config.cluster
        on_cpu = place.device == "cpu"
        groups = cluster.nodes * (gpus_of_machine(cluster) // cluster.tensor_parallel)
        return cls(
            device=place.device,
            count=1 if on_cpu else max(1, groups),
            tensor_parallel=cluster.tensor_parallel,
            arguments=engine_arguments(cluster, place.device),
            ray_address=place.ray_address,
            kv_cache_gib=cluster.rollout_cpu_gib,
        )


@dataclass(frozen=True)
class Started:
    """A slot has loaded its model. ``width`` requests run at once."""

    slot: int
    width: int


@dataclass(frozen=True)
class Turned:
    """A turn of a slot has ended with these samples."""

    slot: int
    finished: Sequence[Finished]


@dataclass(frozen=True)
class Lost:
    """The engine of a slot is gone, with all its requests."""

    slot: int
    cause: str


Event = Started | Turned | Lost


class Engines(Protocol):
    """A number of slots. Each call but ``wait`` returns at once, and ``wait`` returns what has happened since."""

    @property
    def count(self) -> int: ...

    def start(self, slot: int, model: Path, context: int) -> None:
        """Replace the model of ``slot`` by ``model``. ``Started`` or ``Lost`` follows."""

    def turn(self, slot: int, requests: Sequence[Request]) -> None:
        """Add requests and run for a moment. ``Turned`` or ``Lost`` follows."""

    def stop(self, slot: int) -> None:
        """Free a slot's engine."""

    def wait(self, seconds: float) -> list[Event]:
        """Events, after at most these seconds."""
