"""Prompts of the judge stage: candidates read or sampled, labelled, balanced, rendered, written for verl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.judge_set import JudgeSet, build_judge_set
from data.labelling import Triplet
from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, load_template
from data.responses import Candidate, candidates_from_rows, read_responses
from data.row_files import read_rows, write_jsonl
from data.verl_rows import render_judge_rows, write_parquet
from judgerlvr.config.schema import Config, Extraction
from judgerlvr.engine.in_training.step_log import RIGHT, WRONG
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.models.prompt_tokens import drop_long, token_counter
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.pipeline.reward_settings import reward_settings
from judgerlvr.runs.metrics import log_progress
from judgerlvr.runs.request import Place, Request, make_stage
from judgerlvr.runs.stage import DATA, Counts, Stage
from judgerlvr.sampling.match_tokens import matched_prompts
from judgerlvr.sampling.on_ray import sample_on_ray
from rewards.gold_matching import warn_of_golds
from rewards.grading.settings import GradingSettings
from rewards.types import Problem


def prepare_judge(request: Request, run_dir: Path, tokenizer: Any, problems: ProblemSets) -> tuple[Stage, Counts]:
    """Write candidates, judge set, data card and parquet files of a judge run; returns the stage and its counts."""
    config = request.config
    candidates, tokens = collect_candidates(request, run_dir, problems)
    judge_set = make_judge_set(config, problems.grading, candidates, config.judge.data.heldout_problems)
    too_long = write_judge_set(config, run_dir / DATA, tokenizer, judge_set)
    prompts = config.judge.batch.prompts_per_step
    if not isinstance(prompts, int):
        prompts = matched_prompts(request, request.init, judge_set.train, len(judge_set.train) - too_long["train"])
    stage = make_stage(request, run_dir, prompts, tokens_before=tokens, **reward_settings(request, tokenizer, run_dir))
    return stage, {"candidates": len(candidates), "candidate_tokens": tokens, "too_long": too_long}


def collect_candidates(request: Request, run_dir: Path, problems: ProblemSets) -> tuple[list[Candidate], int]:
    """(candidates, tokens sampled for them): the files of the config, or fresh samples kept in the run folder."""
    judge = request.config.judge.data
    if judge.responses:
        return [row for path in judge.responses for row in read_responses(Path(path))], 0
    models = [Path(path).resolve() for path in judge.sample_from] or [request.init]
    rows = _sample(request, run_dir, models, problems.for_candidates)
    write_jsonl(run_dir / DATA / "candidates.jsonl", rows)
    return candidates_from_rows(rows), sum(row["tokens"] for row in rows)


def resample(problems: ProblemSets, stage: Stage, policy: Path, step: int) -> tuple[Path, int]:
    """Candidates of ``policy`` for the problems not held out; (training parquet, tokens sampled)."""
    config = stage.config
    heldout = {row["extra_info"]["problem_id"] for row in read_rows(stage.heldout)}
    fresh = [problem for problem in problems.for_candidates if problem.id not in heldout]
    rows = _sample(stage, stage.run_dir, [policy], fresh)
    write_jsonl(stage.data / f"candidates-{step}.jsonl", rows)
    tokenizer = load_tokenizer(policy, config.model.trust_remote_code)
    judge_set = make_judge_set(config, problems.grading, candidates_from_rows(rows), heldout_problems=0)
    train, _ = drop_long(render_splits(config, judge_set)["train"], config.max_prompt_tokens, token_counter(tokenizer))
    path = stage.data / f"train-{step}.parquet"
    write_parquet(path, train)
    return path, sum(row["tokens"] for row in rows)


def _sample(place: Place, run_dir: Path, models: list[Path], problems: list[Problem]) -> list[dict[str, Any]]:
    config = place.config
    template = load_template(Path(config.data.prompt), GENERATE_FIELDS)
    samples = config.judge.data.samples_per_problem
    log_progress(run_dir, f"  sampling {samples} candidates for each of {len(problems)} problems")
    return sample_on_ray(place, models, problems, template, run_dir)


def make_judge_set(
    config: Config, grading: GradingSettings, candidates: Sequence[Candidate], heldout_problems: int
) -> JudgeSet:
    """Label by the verifier, keep mixed problems, balance classes, hold problems out, decontaminate."""
    judge = config.judge.data
    with grading.open_pool() as pool:
        warn_of_golds(
            list({candidate.problem.id: candidate.problem for candidate in candidates}.values()), pool, "candidates"
        )
        return build_judge_set(
            candidates,
            grade_many=pool.grade_many,
            view=judge.view.value,
            lenient=config.reward.extraction is Extraction.lenient,
            cap_per_problem=judge.cap_per_problem,
            heldout_problems=heldout_problems,
            seed=config.seed,
            eval_files=[Path(path) for path in config.data.evaluation],
            contamination=config.data.contamination,
            shuffle_labels=judge.shuffle_labels,
        )


def write_judge_set(config: Config, folder: Path, tokenizer: Any, judge_set: JudgeSet) -> dict[str, int]:
    """Render both splits to parquet beside the data card; returns how many prompts were too long."""
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
    template = load_template(Path(config.judge.data.prompt), JUDGE_FIELDS)

    def rows(triplets: Sequence[Triplet]) -> list[dict[str, Any]]:
        return render_judge_rows(triplets, template)

    heldout = [
        row | {"data_source": RIGHT if row["reward_model"]["ground_truth"] == "1" else WRONG}
        for row in rows(judge_set.heldout)
    ]
    return {"train": rows(judge_set.train), "heldout": heldout}
