"""Prompts of the judge stage: candidates read or sampled, labelled, balanced, rendered, written for verl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.judge_set import JudgeSet, build_judge_set
from data.label import Triplet
from data.reading import write_jsonl
from data.responses import Candidate, candidates_from_rows, read_responses
from data.verl_rows import render_judge_rows, write_parquet

from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, load_template
from judgerlvr.config.check import MATCH_TOKENS
from judgerlvr.config.load import resolve_path
from judgerlvr.config.schema import Config
from judgerlvr.engine.stage import Stage
from judgerlvr.engine.steplog import RIGHT, WRONG
from judgerlvr.pipeline.generate_data import load_problems
from judgerlvr.pipeline.lengths import drop_long, token_counter
from judgerlvr.pipeline.manifest import write_manifest
from judgerlvr.pipeline.match_tokens import matched_prompts
from judgerlvr.pipeline.on_ray import sample_on_ray
from judgerlvr.pipeline.rewards import reward_settings
from rewards.pool import GraderPool


def prepare_judge(config: Config, run_dir: Path, init: Path, device: Any, ray_address: str | None) -> Stage:
    """Write candidates, judge set, data card, parquet files and the manifest of a judge run."""
    candidates, tokens = collect_candidates(config, run_dir, init, device, ray_address)
    judge_set = make_judge_set(config, candidates)
    dropped = write_judge_set(config, run_dir, init, judge_set)
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
        **reward_settings("judge", config),
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
    problems = load_problems(config)[0][: judge.problems or None]
    template = load_template(resolve_path(config.data.prompt), GENERATE_FIELDS)
    models = [resolve_path(path).resolve() for path in judge.sample_from] or [init]
    print(f"  sampling {judge.samples_per_problem} candidates for {len(problems)} problems", flush=True)
    rows = sample_on_ray(config, device, ray_address, models, problems, template)
    write_jsonl(run_dir / "data" / "candidates.jsonl", rows)
    return candidates_from_rows(rows), sum(row["tokens"] for row in rows)


def make_judge_set(config: Config, candidates: Sequence[Candidate]) -> JudgeSet:
    """Label by the verifier, keep mixed problems, balance classes, hold problems out, decontaminate."""
    judge, reward = config.judge.data, config.reward
    with GraderPool(reward.verifier, workers=reward.workers, mode=str(reward.extraction)) as pool:
        return build_judge_set(
            candidates,
            grade_many=pool.grade_many,
            view=str(judge.view),
            cap_per_problem=judge.cap_per_problem,
            heldout_problems=judge.heldout_problems,
            seed=config.seed,
            eval_files=[resolve_path(path) for path in config.data.evaluation],
            contamination=config.data.contamination,
        )


def write_judge_set(config: Config, run_dir: Path, init: Path, judge_set: JudgeSet) -> dict[str, int]:
    """Render both splits to parquet beside the data card; returns how many prompts were too long."""
    folder = run_dir / "data"
    rendered = render_splits(config, judge_set)
    count = token_counter(init, config.model.trust_remote_code)
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
    words = (config.judge.data.verdicts[0], config.judge.data.verdicts[1])

    def rows(triplets: Sequence[Triplet]) -> list[dict[str, Any]]:
        return render_judge_rows(triplets, template, words)

    heldout = [
        row | {"data_source": RIGHT if row["reward_model"]["ground_truth"] == "1" else WRONG}
        for row in rows(judge_set.heldout)
    ]
    return {"train": rows(judge_set.train), "heldout": heldout}
