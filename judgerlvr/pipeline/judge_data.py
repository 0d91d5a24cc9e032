"""Prompts of the judge stage: candidates read or sampled, labelled, balanced, rendered, written for verl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.jsonl import write_jsonl
from data.judge_row import read_label
from data.judge_set import JudgeSet, build_judge_set
from data.labelling import Triplet
from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, load_template
from data.responses import Candidate, candidates_from_rows, read_responses
from data.row_files import read_rows
from data.verl_rows import render_judge_rows, write_parquet
from judgerlvr.config.check import MATCH_TOKENS
from judgerlvr.config.load import resolve_path
from judgerlvr.config.schema import Config, Extraction
from judgerlvr.engine.in_training.step_log import RIGHT, WRONG, say
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.models.prompt_tokens import drop_long, token_counter
from judgerlvr.pipeline.generate_data import load_problems
from judgerlvr.pipeline.reward_settings import grader_pool, reward_settings
from judgerlvr.runs.manifest import write_manifest
from judgerlvr.runs.stage import Stage
from judgerlvr.sampling.match_tokens import matched_prompts
from judgerlvr.sampling.on_ray import sample_on_ray
from rewards.types import Problem


def prepare_judge(config: Config, run_dir: Path, init: Path, device: Any, ray_address: str | None) -> Stage:
    """Write candidates, judge set, data card, parquet files and the manifest of a judge run."""
    candidates, tokens = collect_candidates(config, run_dir, init, device, ray_address)
    tokenizer = load_tokenizer(init, config.model.trust_remote_code)
    judge_set = make_judge_set(config, tokenizer, candidates, config.judge.data.heldout_problems)
    dropped = write_judge_set(config, run_dir, tokenizer, judge_set)
    prompts = config.judge.batch.prompts_per_step
    if prompts == MATCH_TOKENS:
        prompts = matched_prompts(config, init, device, ray_address, judge_set.train)
    stage = Stage(
        kind="judge",
        config=config,
        run_dir=run_dir,
        init=init,
        train=run_dir / "data" / "train.parquet",
        heldout=run_dir / "data" / "heldout.parquet",
        device=device,
        prompts_per_step=prompts,
        tokens_before=tokens,
        ray_address=ray_address,
        **reward_settings("judge", config, tokenizer, run_dir),
    )
    extra = {"candidates": len(candidates), "candidate_tokens": tokens, "too_long": dropped}
    write_manifest(stage, extra)
    return stage


def collect_candidates(
    config: Config, run_dir: Path, init: Path, device: str, ray_address: str | None
) -> tuple[list[Candidate], int]:
    """(candidates, tokens sampled for them): the files of the config, or fresh samples kept in the run folder."""
    judge = config.judge.data
    if judge.responses:
        return [row for path in judge.responses for row in read_responses(resolve_path(path))], 0
    models = [resolve_path(path).resolve() for path in judge.sample_from] or [init]
    rows = _sample(config, run_dir, device, ray_address, models, _problems(config))
    write_jsonl(run_dir / "data" / "candidates.jsonl", rows)
    return candidates_from_rows(rows), sum(row["tokens"] for row in rows)


def resample(stage: Stage, policy: Path, step: int) -> tuple[Path, int]:
    """Candidates of ``policy`` for the problems not held out; (training parquet, tokens sampled)."""
    config, run_dir = stage.config, stage.run_dir
    heldout = {row["extra_info"]["problem_id"] for row in read_rows(stage.heldout)}
    problems = [problem for problem in _problems(config) if problem.id not in heldout]
    rows = _sample(config, run_dir, stage.device, stage.ray_address, [policy], problems)
    write_jsonl(run_dir / "data" / f"candidates-{step}.jsonl", rows)
    tokenizer = load_tokenizer(policy, config.model.trust_remote_code)
    judge_set = make_judge_set(config, tokenizer, candidates_from_rows(rows), heldout_problems=0)
    train, _ = drop_long(render_splits(config, judge_set)["train"], config.max_prompt_tokens, token_counter(tokenizer))
    path = run_dir / "data" / f"train-{step}.parquet"
    write_parquet(path, train)
    return path, sum(row["tokens"] for row in rows)


def _problems(config: Config) -> list[Problem]:
    return load_problems(config)[0][: config.judge.data.problems or None]


def _sample(
    config: Config, run_dir: Path, device: str, ray_address: str | None, models: list[Path], problems: list[Problem]
) -> list[dict[str, Any]]:
    template = load_template(resolve_path(config.data.prompt), GENERATE_FIELDS)
    samples = config.judge.data.samples_per_problem
    say(run_dir, f"  sampling {samples} candidates for each of {len(problems)} problems")
    return sample_on_ray(config, device, ray_address, models, problems, template)


def make_judge_set(config: Config, tokenizer: Any, candidates: Sequence[Candidate], heldout_problems: int) -> JudgeSet:
    """Label by the verifier, keep mixed problems, balance classes, hold problems out, decontaminate."""
    judge = config.judge.data
    with grader_pool(config, tokenizer) as pool:
        return build_judge_set(
            candidates,
            grade_many=pool.grade_many,
            view=str(judge.view),
            lenient=config.reward.extraction is Extraction.lenient,
            cap_per_problem=judge.cap_per_problem,
            heldout_problems=heldout_problems,
            seed=config.seed,
            eval_files=[resolve_path(path) for path in config.data.evaluation],
            contamination=config.data.contamination,
            shuffle_labels=judge.shuffle_labels,
        )


def write_judge_set(config: Config, run_dir: Path, tokenizer: Any, judge_set: JudgeSet) -> dict[str, int]:
    """Render both splits to parquet beside the data card; returns how many prompts were too long."""
    folder = run_dir / "data"
    rendered = render_splits(config, judge_set)
    count = token_counter(tokenizer)
    dropped = {}
    for name, rows in rendered.items():
        kept, dropped[name] = drop_long(rows, config.max_prompt_tokens, count)
        write_parquet(folder / f"{name}.parquet", kept)
    (folder / "card.md").write_text(judge_set.card.to_markdown(), encoding="utf-8")
    (folder / "card.json").write_text(json.dumps(judge_set.card.to_json(), indent=2), encoding="utf-8")
    return dropped


def render_splits(config: Config, judge_set: JudgeSet) -> dict[str, list[dict[str, Any]]]:
    """Rows of both splits; held-out ones are two sources, so that verl validates each class by itself."""
    template = load_template(resolve_path(config.judge.data.prompt), JUDGE_FIELDS)

    def rows(triplets: Sequence[Triplet]) -> list[dict[str, Any]]:
        return render_judge_rows(triplets, template)

    heldout = [row | {"data_source": RIGHT if read_label(row) else WRONG} for row in rows(judge_set.heldout)]
    return {"train": rows(judge_set.train), "heldout": heldout}
