"""``--dry-run``: everything that can fail later, tried now, in seconds and without a GPU."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from data.identity import shown_text
from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, as_chat, load_template, render
from data.verl_rows import render_generate_rows
from judgerlvr.config.check import MATCH_TOKENS
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.models.prompt_tokens import Chat, PromptFilter, drop_unusable, encode_prompt, no_prompt_left
from judgerlvr.pipeline.checks import known_shape
from judgerlvr.pipeline.generate_data import shown_data
from judgerlvr.pipeline.judge_data import make_judge_set, read_candidates, render_splits
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.pipeline.reward_settings import grading_settings
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import machine_of
from judgerlvr.planning.plan import make_plan
from judgerlvr.planning.report import cpu_time_lines, plan_lines, storage_lines, verdict_lines
from judgerlvr.planning.storage import storage, storage_shortfalls
from judgerlvr.runs.request import Request
from rewards.canary import canary
from rewards.errors import InputError
from rewards.grading.settings import GradingSettings
from rewards.types import Problem

PLACEHOLDER = "(a sampled solution)"


def dry_run(request: Request) -> None:
    """Print what the run would do. The request's constraints are checked already.

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
    _print_cluster(request)
    print_plan(request)
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
    if problem.gold is None:
        print("verifier: the first problem has no gold answer to try")
        return
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
        samples = batch.fixed_prompts * batch.samples_per_prompt
        print(f"batch: {samples} samples a step, {samples // batch.updates_per_step} an update")
    print(f"steps: at most {settings.stop.steps}")


def print_plan(request: Request) -> None:
    """Print what the stage takes of cards, hosts, disk and time.

    Raises:
        InputError: by the plan the stage does not fit. The message says by how much, and what would fit.
    """
    config, shape = request.config, known_shape(request.init)
    if shape is None:
        print("plan: none, the planner knows Qwen3, Qwen3-MoE and HySparse")
        return
    machine = machine_of(config, request.device)
    if request.device == "gpu":
        plan = make_plan(request.kind, config, shape, machine)
        lines, shortfalls, change = plan_lines(plan), plan.shortfalls, plan.change
    else:
        load = load_of(request.kind, config)
        kept = storage(shape, load, request.settings, "cpu", config.cluster.rollout_cpu_gib)
        shortfalls, change = storage_shortfalls(kept, machine), ""
        lines = [*storage_lines(kept, machine), *cpu_time_lines(config, load), *verdict_lines(shortfalls, change)]
    print("\n".join(lines))
    if shortfalls:
        raise InputError(
            f"the stage does not fit: {shortfalls[0]}",
            f"set {change}" if change else "take a smaller batch, shorter responses, or a larger machine",
            field="cluster",
        )


def _print_cluster(request: Request) -> None:
    private = f"a private cluster ({os.cpu_count()} cores here)"
    where = f"the cluster at {request.ray_address}" if request.ray_address else private
    print(f"ray: {where}, device {request.device}")
