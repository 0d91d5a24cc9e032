"""Prompts of the generate stage: problems rendered, filtered by length, written for verl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.prompts import GENERATE_FIELDS, load_template
from data.row_files import write_jsonl
from data.verl_rows import render_generate_rows, write_parquet
from judgerlvr.models.prompt_tokens import drop_long, token_counter
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.pipeline.reward_settings import reward_settings
from judgerlvr.runs.request import Request, make_stage
from judgerlvr.runs.stage import DATA, Counts, Stage
from rewards.types import Problem


def prepare_generate(request: Request, run_dir: Path, tokenizer: Any, problems: ProblemSets) -> tuple[Stage, Counts]:
    """Write the parquet files of a generate run; returns the stage and its counts."""
    config, folder = request.config, run_dir / DATA
    template = load_template(Path(config.data.prompt), GENERATE_FIELDS)
    count = token_counter(tokenizer)
    too_long, kept = {}, {}
    for name, split in {"train": problems.train, "heldout": problems.heldout}.items():
        kept[name], too_long[name] = drop_long(render_generate_rows(split, template), config.max_prompt_tokens, count)
    # The engine opens a held-out file even where nothing is validated.
    write_parquet(folder / "train.parquet", kept["train"])
    write_parquet(folder / "heldout.parquet", kept["heldout"] or kept["train"][:1])
    # The same held-out problems as plain rows, for ``judgerlvr.evaluate --data``.
    write_jsonl(folder / "heldout.jsonl", [_plain(problem) for problem in problems.heldout])
    prompts = config.generate.batch.fixed_prompts
    stage = make_stage(request, run_dir, prompts, **reward_settings(request, tokenizer, run_dir))
    return stage, {"problems": len(problems.train), "too_long": too_long}


def _plain(problem: Problem) -> dict[str, Any]:
    """A problem with the columns that its verifier reads, as a row of a problem file."""
    return {**problem.meta, "id": problem.id, "problem": problem.text, "gold": problem.gold}
