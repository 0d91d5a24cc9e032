"""``--dry-run``: everything that can fail later, tried now, in seconds and without a GPU."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import ray

from data.identity import shown_text
from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, as_chat, load_template, render
from data.verl_rows import render_generate_rows
from judgerlvr.config.check import MATCH_TOKENS
from judgerlvr.config.schema import Config
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.models.prompt_tokens import Chat, PromptFilter, drop_unusable, encode_prompt, no_prompt_left
from judgerlvr.pipeline.generate_data import shown_data
from judgerlvr.pipeline.judge_data import make_judge_set, read_candidates, render_splits
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.pipeline.reward_settings import grading_settings
from judgerlvr.runs.request import Request
from rewards.canary import canary
from rewards.errors import InputError
from rewards.grading.settings import GradingSettings
from rewards.types import Problem

PLACEHOLDER = "(a sampled solution)"
# fp32 master weights, gradients and two AdamW moments; the rollout engine holds one bf16 copy more.
TRAIN_BYTES, ROLLOUT_BYTES = 16, 2


def dry_run(request: Request) -> None:
    """Print what the run would do.

    Raises:
        InputError: whatever would have stopped the run before its first step.
    """
    config = request.config
    tokenizer = load_tokenizer(request.init, config.model.trust_remote_code)
    grading = grading_settings(config, tokenizer)
    problems = ProblemSets(config, grading)
    print(f"data: {len(problems.train)} training problems, {len(problems.heldout)} held out")
    chat = first_prompt(request, problems, tokenizer)
    ids = encode_prompt(tokenizer, chat)
    print(f"first prompt ({len(ids)} of at most {config.max_prompt_tokens} tokens):\n{tokenizer.decode(ids)}")
    _grade_gold(grading, problems.train[0])
    _print_sizes(request)
    gib = memory_gib(request.init, config)
    print(f"memory: about {gib:.1f} GiB for each GPU's weights, gradients and optimiser")
    _print_cluster(request)
    print("dry run: nothing was started")


def first_prompt(request: Request, problems: ProblemSets, tokenizer: Any) -> Chat:
    """The prompt that the first sample would be drawn for. Response files become a whole judge set for that.

    Raises:
        InputError: no prompt is short enough, or the response files give nothing to judge.
    """
    config = request.config
    prompts = PromptFilter(tokenizer, config.max_prompt_tokens)
    if request.kind == "generate":
        template = load_template(Path(config.data.prompt), GENERATE_FIELDS)
        rows, _ = drop_unusable(render_generate_rows(problems.train, template), prompts, shown_data)
        return list(rows[0]["prompt"])
    if config.judge.data.responses:
        heldout = config.judge.data.heldout_problems
        judge_set = make_judge_set(config, problems.grading, tokenizer, read_candidates(config), heldout)
        print(f"judge set: {json.dumps(dict(judge_set.card.counts))}")
        return list(next(render_splits(config, judge_set)["train"])["prompt"])
    template = load_template(Path(config.judge.data.prompt), JUDGE_FIELDS)
    shown = {"problem": shown_text(problems.train[0]), "response": PLACEHOLDER}
    chat = as_chat(render(template, shown))
    if reason := prompts.refuse(chat, shown.values()):
        raise no_prompt_left(1, Counter([reason]), config.max_prompt_tokens)
    return chat


def _grade_gold(grading: GradingSettings, problem: Problem) -> None:
    with grading.open_pool(workers=1) as pool:
        if canary(pool, [problem]):
            remedy = "mend the gold answer, or set reward.verifier to one that reads it"
            raise InputError(f"gold {problem.gold!r} of problem {problem.id} fails against itself", remedy)
    print(f"verifier: gold {problem.gold!r} graded against itself is correct")


def _print_sizes(request: Request) -> None:
    settings = request.settings
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


def _print_cluster(request: Request) -> None:
    config, ray_address = request.config, request.ray_address
    wanted = config.cluster.nodes * config.cluster.gpus_per_node
    if not ray_address:
        print(f"ray: a private cluster on this machine ({os.cpu_count()} cores, device {request.device})")
        return
    ray.init(address=ray_address, log_to_driver=False)
    offered: dict[str, Any] = ray.cluster_resources()
    ray.shutdown()
    print(f"ray at {ray_address}: {json.dumps({k: v for k, v in offered.items() if k in ('CPU', 'GPU')})}")
    if offered.get("GPU", 0) < wanted:
        problem = f"the cluster offers {offered.get('GPU', 0):.0f} GPUs, {wanted} are asked for"
        raise InputError(problem, "lower cluster.nodes x cluster.gpus_per_node", field="cluster")
