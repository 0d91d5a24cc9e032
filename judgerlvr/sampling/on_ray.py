"""Sampling as a Ray task: on whichever worker has the GPUs, in a process that frees them when it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from judgerlvr.config.schema import Config
from judgerlvr.engine.devices import cluster_arguments, environment
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.sampler import sample_candidates
from rewards.types import Problem


def run_on_ray(config: Config, device: str, address: str | None, function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)`` in a task that holds ``cluster.tensor_parallel`` GPUs; Ray is left again afterwards."""
    # The engine runs in the task's own process: a forked one could not use CUDA, and a task ends anyway.
    env = environment(device, config.cluster.rollout_memory) | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    ray.init(runtime_env={"env_vars": env}, **cluster_arguments(device, address))
    try:
        task = ray.remote(num_gpus=config.cluster.tensor_parallel, max_calls=1)(function)
        return ray.get(task.remote(*args))
    finally:
        ray.shutdown()


def engine_arguments(config: Config, device: str) -> dict[str, Any]:
    """Arguments of ``vllm.LLM`` that follow from the cluster's keys."""
    cluster = config.cluster
    if device == "cpu":
        return dict(cluster.rollout_engine)
    return {
        **cluster.rollout_engine,
        "tensor_parallel_size": cluster.tensor_parallel,
        "gpu_memory_utilization": cluster.rollout_memory,
    }


def sample_on_ray(
    config: Config, device: str, address: str | None, models: list[Path], problems: list[Problem], template: str
) -> list[dict[str, Any]]:
    """Candidates for the judge set: rows of problem, gold, response and the tokens sampled."""
    decoding = Decoding(
        n=config.judge.data.samples_per_problem,
        temperature=config.temperature,
        max_tokens=config.generate.max_response_tokens,
        seed=config.seed,
    )
    engine = engine_arguments(config, device)
    return run_on_ray(config, device, address, sample_candidates, models, problems, template, decoding, engine)
