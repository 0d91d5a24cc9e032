"""Prompts of the generate stage: problems rendered, filtered by length, written for verl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.identity import EARLIER_TURNS, earlier_turns, label_of
from data.jsonl import write_jsonl
from data.prompts import GENERATE_FIELDS, load_template
from data.verl_rows import render_generate_rows, write_parquet
from judgerlvr.models.prompt_tokens import PromptFilter, drop_unusable
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.pipeline.reward_settings import reward_settings
from judgerlvr.runs.request import Request, make_stage
from judgerlvr.runs.stage import DATA, Counts, Stage
from rewards.types import Problem


def prepare_generate(request: Request, run_dir: Path, tokenizer: Any, problems: ProblemSets) -> tuple[Stage, Counts]:
    """Write the parquet files of a generate run. Returns the stage and the counts."""
    config, folder = request.config, run_dir / DATA
    template = load_template(Path(config.data.prompt), GENERATE_FIELDS)
    prompts, set_aside, kept = PromptFilter(tokenizer, config.max_prompt_tokens), {}, {}
    for name, split in {"train": problems.train, "heldout": problems.heldout}.items():
        kept[name], dropped = drop_unusable(render_generate_rows(split, template), prompts, shown_data)
        set_aside[name] = dict(dropped)
    # The engine opens a held-out file even where nothing is validated.
    write_parquet(folder / "train.parquet", kept["train"])
    write_parquet(folder / "heldout.parquet", kept["heldout"] or kept["train"][:1])
    # The same held-out problems as plain rows, for ``judgerlvr.evaluate --data``.
    write_jsonl(folder / "heldout.jsonl", [_plain(problem) for problem in problems.heldout])
    size = config.generate.batch.fixed_prompts
    stage = make_stage(request, run_dir, size, **reward_settings(request, tokenizer, run_dir))
    return stage, {"problems": len(problems.train), "set_aside": set_aside}


def shown_data(row: dict[str, Any]) -> list[str]:
    """The texts of a generate row that come from the data: the problem and the turns before the problem."""
    return [row["extra_info"]["problem"], *(turn["content"] for turn in row["prompt"][:-1])]


def _plain(problem: Problem) -> dict[str, Any]:
    """A row that ``judgerlvr.evaluate`` reads as the same problem, with the columns that the verifier reads."""
    row = {**problem.meta, "id": label_of(problem), "problem": problem.text, "gold": problem.gold}
    turns = earlier_turns(problem)
    return row | ({EARLIER_TURNS: turns} if turns else {})
