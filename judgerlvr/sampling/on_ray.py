"""Engines as Ray actors: on whichever nodes have the GPUs, each in a process that frees them when it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from judgerlvr.cluster.environment import CPU_THREADS, environment
from judgerlvr.cluster.memory_kills import read_kills
from judgerlvr.cluster.ray import cluster_arguments, join, worker_python
from judgerlvr.cluster.ray_start import starting
from judgerlvr.cluster.session import Session, session
from judgerlvr.runs.causes import cause_of_loss
from judgerlvr.sampling.engines import EngineSettings, Event, Lost, Started, Turned
from judgerlvr.sampling.requests import Finished, Request
from judgerlvr.sampling.sampler import Sampler

# An engine runs this long before it hands over what has ended. The driver then adds requests.
TURN_SECONDS = 1.0


class Engine:
    """The actor: one vLLM engine in its own process."""

    def __init__(self, model: Path, context: int, arguments: dict[str, Any]) -> None:
        self.sampler = Sampler(model, context, arguments)

    def width(self) -> int:
        """Requests that run at once."""
        return self.sampler.width

    def turn(self, requests: Sequence[Request]) -> list[Finished]:
        """Add requests, run for about ``TURN_SECONDS``, and return what has ended."""
        for request in requests:
            self.sampler.add(request)
        until, ended = time.monotonic() + TURN_SECONDS, list[Finished]()
        while self.sampler.busy and time.monotonic() < until:
            ended += self.sampler.step()
        return ended


class RayEngines:
    """The slots of ``judgerlvr.sampling.engines.Engines`` on the Ray cluster that this process has joined."""

    def __init__(self, settings: EngineSettings, opened: Session) -> None:
        self.settings = settings
        self.session = opened
        self.kills = read_kills()
        self.count = settings.count or gpu_groups(settings.tensor_parallel)
        self._actors: dict[int, Any] = {}
        self._waiting: dict[Any, int] = {}
        self._starting: set[Any] = set()

    def start(self, slot: int, model: Path, context: int) -> None:
        self.stop(slot)
        on_gpu = self.settings.device == "gpu"
        parallel = {"tensor_parallel_size": self.settings.tensor_parallel} if on_gpu else {}
        arguments = {**parallel, **self.settings.arguments}
        # Without GPUs to keep engines apart Ray would fill one node first.
        kind = ray.remote(num_cpus=1, num_gpus=self.settings.tensor_parallel if on_gpu else 0, max_restarts=0)(Engine)
        self._actors[slot] = kind.options(scheduling_strategy="SPREAD").remote(model, context, arguments)
        reference = self._actors[slot].width.remote()
        self._starting.add(reference)
        self._waiting[reference] = slot

    def turn(self, slot: int, requests: Sequence[Request]) -> None:
        self._waiting[self._actors[slot].turn.remote(list(requests))] = slot

    def stop(self, slot: int) -> None:
        actor = self._actors.pop(slot, None)
        for reference in [reference for reference, other in self._waiting.items() if other == slot]:
            self._forget(reference)
        if actor is not None:
            ray.kill(actor)

    def wait(self, seconds: float) -> list[Event]:
        if not self._waiting:
            return []
        # The first call waits for one, the second takes all that are ready.
        ray.wait(list(self._waiting), num_returns=1, timeout=seconds)
        ready, _ = ray.wait(list(self._waiting), num_returns=len(self._waiting), timeout=0)
        return [self._event(reference) for reference in ready]

    def _event(self, reference: Any) -> Event:
        slot, starting = self._waiting[reference], reference in self._starting
        self._forget(reference)
        try:
            value = ray.get(reference)
        except ray.exceptions.RayError as error:
            self.stop(slot)
            return Lost(slot, cause_of_loss(error, self.session, self.kills))
        return Started(slot, value) if starting else Turned(slot, value)

    def _forget(self, reference: Any) -> None:
        self._waiting.pop(reference, None)
        self._starting.discard(reference)


@contextmanager
def ray_engines(settings: EngineSettings) -> Iterator[RayEngines]:
    """Engines on the cluster of the settings. Ray is left again afterwards, and the engines end."""
    # The engine runs in the actor's own process: a forked one could not use CUDA, and an actor ends anyway.
    variables = environment(settings.device, settings.kv_cache_gib) | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    if settings.device == "cpu" and (settings.count or 1) > 1:
        variables[CPU_THREADS] = str(max(1, int(variables[CPU_THREADS]) // (settings.count or 1)))
    with session(settings.ray_address) as opened:
        program = worker_python(settings.device, settings.ray_address)
        worker = {"env_vars": variables} | ({"py_executable": program} if program else {})
        with starting(opened):
            join(runtime_env=worker, **cluster_arguments(settings.device, settings.ray_address))
        yield RayEngines(settings, opened)


def gpu_groups(size: int) -> int:
    """Groups of ``size`` GPUs, each on one node, that the living nodes of the cluster hold."""
    nodes = [node["Resources"].get("GPU", 0) for node in ray.nodes() if node["Alive"]]
    return sum(int(gpus) // size for gpus in nodes)
