"""``--dry-run``: everything that can fail later, tried now, in seconds and without a GPU."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import ray

from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, as_chat, load_template, render
from data.responses import read_responses
from judgerlvr.config.check import MATCH_TOKENS
from judgerlvr.config.load import resolve_path
from judgerlvr.config.schema import Config
from judgerlvr.models.directory import check_model
from judgerlvr.pipeline.generate_data import load_problems
from judgerlvr.pipeline.reward_settings import grader_pool
from judgerlvr.runs.stage import Kind
from rewards.canary import canary
from rewards.errors import InputError
from rewards.types import Problem

PLACEHOLDER = "(a sampled solution)"
# fp32 master weights, gradients and two AdamW moments; the rollout engine holds one bf16 copy more.
TRAIN_BYTES, ROLLOUT_BYTES = 16, 2


def dry_run(kind: Kind, config: Config, init: Path, device: str, ray_address: str | None) -> None:
    """Print what the run would do.

    Raises:
        InputError: whatever would have stopped the run before its first step.
    """
    settings = config.judge if kind == "judge" else config.generate
    tokenizer = check_model(init, config.max_prompt_tokens + settings.max_response_tokens)
    train, heldout = load_problems(config)
    print(f"data: {len(train)} training problems, {len(heldout)} held out")
    prompt = first_prompt(kind, config, train[0])
    ids = tokenizer.apply_chat_template(as_chat(prompt), add_generation_prompt=True, return_dict=False)
    print(f"first prompt ({len(ids)} of at most {config.max_prompt_tokens} tokens):\n{tokenizer.decode(ids)}")
    _grade_gold(config, tokenizer, train[0])
    _print_sizes(kind, config)
    print(f"memory: about {memory_gib(init, config):.1f} GiB for each GPU's weights, gradients and optimiser")
    _print_cluster(config, device, ray_address)
    print("dry run: nothing was started")


def first_prompt(kind: Kind, config: Config, problem: Problem) -> str:
    if kind == "generate":
        return render(load_template(resolve_path(config.data.prompt), GENERATE_FIELDS), {"problem": problem.text})
    template = load_template(resolve_path(config.judge.data.prompt), JUDGE_FIELDS)
    files = config.judge.data.responses
    shown = read_responses(resolve_path(files[0]))[0] if files else None
    response = shown.response if shown else PLACEHOLDER
    return render(template, {"problem": shown.problem.text if shown else problem.text, "response": response})


def _grade_gold(config: Config, tokenizer: Any, problem: Problem) -> None:
    with grader_pool(config, tokenizer, workers=1) as pool:
        if canary(pool, [problem]):
            remedy = "mend the gold answer, or set reward.verifier to one that reads it"
            raise InputError(f"gold {problem.gold!r} of problem {problem.id} fails against itself", remedy)
    print(f"verifier: gold {problem.gold!r} graded against itself is correct")


def _print_sizes(kind: Kind, config: Config) -> None:
    settings = config.judge if kind == "judge" else config.generate
    batch = settings.batch
    if batch.prompts_per_step == MATCH_TOKENS:
        print("batch: judge prompts a step are measured at start (match_tokens)")
    else:
        samples = batch.prompts_per_step * batch.samples_per_prompt
        print(f"batch: {samples} samples a step, {samples // batch.updates_per_step} an update")
    print(f"steps: at most {settings.stop.steps}")


def memory_gib(init: Path, config: Config) -> float:
    """Weights alone, spread over the GPUs; activations and the KV cache come on top."""
    from safetensors import safe_open

    parameters = 0
    for path in init.glob("*.safetensors"):
        with safe_open(str(path), framework="np") as tensors:
            for name in tensors.keys():  # noqa: SIM118  (a safetensors handle is no dict)
                size = 1
                for length in tensors.get_slice(name).get_shape():
                    size *= length
                parameters += size
    cluster = config.cluster
    gpus = cluster.nodes * cluster.gpus_per_node
    return parameters * (TRAIN_BYTES / gpus + ROLLOUT_BYTES / cluster.tensor_parallel) / 2**30


def _print_cluster(config: Config, device: str, ray_address: str | None) -> None:
    wanted = config.cluster.nodes * config.cluster.gpus_per_node
    if not ray_address:
        print(f"ray: a private cluster on this machine ({os.cpu_count()} cores, device {device})")
        return
    ray.init(address=ray_address, log_to_driver=False)
    offered: dict[str, Any] = ray.cluster_resources()
    ray.shutdown()
    print(f"ray at {ray_address}: {json.dumps({k: v for k, v in offered.items() if k in ('CPU', 'GPU')})}")
    if offered.get("GPU", 0) < wanted:
        problem = f"the cluster offers {offered.get('GPU', 0):.0f} GPUs, {wanted} are asked for"
        raise InputError(problem, "lower cluster.nodes x cluster.gpus_per_node", field="cluster")
