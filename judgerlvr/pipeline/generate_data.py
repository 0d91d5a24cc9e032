"""Prompts of the generate stage: problems read or generated, rendered, filtered by length, written for verl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.decontaminate import check_overlap
from data.identity import make_problem
from data.jsonl import write_jsonl
from data.problems import check_golds, read_problems
from data.prompts import GENERATE_FIELDS, load_template
from data.verl_rows import render_generate_rows, write_parquet
from judgerlvr.config.load import resolve_path
from judgerlvr.config.schema import Config
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.models.prompt_tokens import drop_long, token_counter
from judgerlvr.pipeline.reward_settings import reward_settings
from judgerlvr.runs.manifest import write_manifest
from judgerlvr.runs.stage import Stage
from judgerlvr.tinyworld.problems import generate_problems
from rewards.grading.pool import GraderPool
from rewards.types import Problem


def load_problems(config: Config) -> tuple[list[Problem], list[Problem]]:
    """(training, held-out) problems: the files of the config, or the tiny world where none are named.

    Raises:
        InputError: an unreadable or faulty file, or training problems that occur in an evaluation set.
    """
    data = config.data
    train = _read(config, data.train) or _tiny(data.tiny_train, config.seed, "train")
    heldout = _read(config, data.heldout) or _tiny(data.tiny_heldout, config.seed, "heldout")
    return check_overlap(train, [resolve_path(path) for path in data.evaluation], data.contamination), heldout


def _read(config: Config, paths: list[str]) -> list[Problem]:
    """Problems of the files, every gold answer graded against itself."""
    files = [(file, read_problems(file)) for path in paths for file in [resolve_path(path)]]
    if files:
        with GraderPool(config.reward.verifier, config.reward.workers) as pool:
            for file, problems in files:
                check_golds(problems, pool.grade_many, file)
    return [problem for _, problems in files for problem in problems]


def _tiny(count: int, seed: int, split: Any) -> list[Problem]:
    return [
        make_problem(row["problem"], row["gold"], given_id=row["id"]) for row in generate_problems(count, seed, split)
    ]


def _plain(problem: Problem) -> dict[str, Any]:
    return {"id": problem.id, "problem": problem.text, "gold": problem.gold}


def prepare_generate(config: Config, run_dir: Path, init: Path, device: Any, ray_address: str | None) -> Stage:
    """Write the parquet files and the manifest of a generate run."""
    train, heldout = load_problems(config)
    template = load_template(resolve_path(config.data.prompt), GENERATE_FIELDS)
    tokenizer = load_tokenizer(init, config.model.trust_remote_code)
    count = token_counter(tokenizer)
    files = {"train": train, "heldout": heldout}
    dropped = {}
    for name, problems in files.items():
        rows, dropped[name] = drop_long(render_generate_rows(problems, template), config.max_prompt_tokens, count)
        write_parquet(run_dir / "data" / f"{name}.parquet", rows)
    # The same held-out problems as plain rows, for ``judgerlvr.evaluate --data``.
    write_jsonl(run_dir / "data" / "heldout.jsonl", [_plain(problem) for problem in heldout])
    stage = Stage(
        kind="generate",
        config=config,
        run_dir=run_dir,
        init=init,
        train=run_dir / "data" / "train.parquet",
        heldout=run_dir / "data" / "heldout.parquet",
        device=device,
        prompts_per_step=config.generate.batch.prompts_per_step,
        ray_address=ray_address,
        **reward_settings("generate", config, tokenizer, run_dir),
    )
    write_manifest(stage, {"problems": len(train), "too_long": dropped})
    return stage
