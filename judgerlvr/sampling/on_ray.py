"""Sampling as a Ray task: on whichever worker has the GPUs, in a process that frees them when it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from judgerlvr.cluster.environment import environment
from judgerlvr.cluster.ray import cluster_arguments
from judgerlvr.cluster.session import session
from judgerlvr.runs.causes import Evidence
from judgerlvr.runs.request import Place
from judgerlvr.runs.stage import DATA
from judgerlvr.sampling.candidates import sample_candidates
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.kept_chunks import KEPT, Keep
from rewards.errors import CommandFailed
from rewards.types import Problem

# Samples in a chunk that is kept at once. The engine runs dry at the end of a chunk, so that a GPU's is larger.
CHUNK_SAMPLES = {"cpu": 512, "gpu": 8192}


class SamplingFailed(CommandFailed):
    """Sampling ended early; the message is its cause in one line."""


def run_on_ray(place: Place, function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)`` in a task that holds ``cluster.tensor_parallel`` GPUs; Ray is left again afterwards.

    Raises:
        SamplingFailed: the task, its worker or the cluster failed.
    """
    # The engine runs in the task's own process: a forked one could not use CUDA, and a task ends anyway.
    env = environment(place.device, place.config.cluster.rollout_cpu_gib) | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    with session(place.ray_address) as ray_session:
        evidence = Evidence.before(Path(place.config.runs), ray_session)
        ray.init(runtime_env={"env_vars": env}, **cluster_arguments(place.device, place.ray_address))
        # A task that was killed for its memory would be killed again: the cause is told after the first death.
        gpus = place.config.cluster.tensor_parallel
        task = ray.remote(num_gpus=gpus, max_calls=1, max_retries=0)(function)
        try:
            return ray.get(task.remote(*args))
        except ray.exceptions.RayError as error:
            raise SamplingFailed(f"{evidence.cause(error)}; the same command goes on") from error


def vllm_arguments(place: Place) -> dict[str, Any]:
    """Arguments of ``vllm.LLM`` that follow from the cluster's keys."""
    cluster = place.config.cluster
    if place.device == "cpu":
        return dict(cluster.rollout_engine)
    return {
        **cluster.rollout_engine,
        "tensor_parallel_size": cluster.tensor_parallel,
        "gpu_memory_utilization": cluster.rollout_gpu_share,
    }


def sample_on_ray(
    place: Place, models: list[Path], problems: list[Problem], template: str, run_dir: Path | None = None
) -> list[dict[str, Any]]:
    """Candidates for the judge set: rows of problem, gold, response and the tokens sampled.

    ``run_dir`` keeps the chunks that are done, so that the same call after a death samples the rest only.
    """
    config = place.config
    decoding = Decoding(
        n=config.judge.data.samples_per_problem,
        temperature=config.temperature,
        max_tokens=config.generate.max_response_tokens,
        seed=config.seed,
    )
    engine = vllm_arguments(place)
    size = max(1, CHUNK_SAMPLES[place.device] // decoding.n)
    keep = Keep(run_dir / DATA / KEPT, size, run_dir) if run_dir else None
    return run_on_ray(place, sample_candidates, models, problems, template, decoding, engine, keep)
