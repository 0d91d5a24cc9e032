"""Rows of validation of a judge stage that also solves: its held-out judge rows, and held-out problems to solve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.problems import check_apart
from data.prompts import GENERATE_FIELDS, load_template
from data.row_files import read_rows
from data.verl_rows import OWN_FIELDS, render_generate_rows, write_parquet
from judgerlvr.engine.in_training.validation import SOLVING
from judgerlvr.engine.loop_of_your_own import LOOP, SOLVING_LOOP
from judgerlvr.models.prompt_tokens import PromptFilter, drop_unusable
from judgerlvr.pipeline.generate_data import shown_data
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.runs.stage import Stage
from rewards.errors import InputError
from rewards.types import Problem
from rewards.wording import counted

# verl's columns for the number of samples of a row, and for the row's agent loop.
SAMPLES, BY = "__rollout_n__", "agent_name"
FIELD = "judge.solving.problems"


def solving_rows(wanted: int, prompt: str, prompts: PromptFilter, problems: ProblemSets) -> list[dict[str, Any]]:
    """The first ``wanted`` held-out problems whose prompt can be used. With 0 the problems are not read.

    ``prompt`` is the path of the generation template.

    Raises:
        InputError: fewer held-out problems than are wanted, or too many unusable prompts.
    """
    if not wanted:
        return []
    template = load_template(Path(prompt), GENERATE_FIELDS)
    kept, _ = drop_unusable(render_generate_rows(problems.heldout, template), prompts, shown_data)
    if len(kept) < wanted:
        problem = f"{counted(wanted, 'problem')} to solve, and {len(kept)} held-out problems can be used"
        raise InputError(problem, f"set at most {len(kept)}, or hold out more problems", field=FIELD)
    return [row | {"data_source": SOLVING} for row in kept[:wanted]]


def check_unjudged(rows: Sequence[dict[str, Any]], problems: ProblemSets, judged: Iterable[Problem]) -> None:
    """Raise an InputError where a problem to solve is one whose solutions are judged in training."""
    ids = {row["extra_info"]["id"] for row in rows}
    # Without rows nothing is read: the judged problems may lie on disk.
    found = {problem.id: problem for problem in judged if problem.id in ids} if ids else {}
    check_apart(list(found.values()), [problem for problem in problems.heldout if problem.id in ids] if ids else [])


def write_validated(stage: Stage, rows: Sequence[dict[str, Any]]) -> None:
    """Write the file of validation, each row with its number of samples. Nothing where the stage solves none.

    ``validation.prompts`` counts judge rows alone. ``heldout.parquet`` keeps all of these.
    """
    if not rows:
        return
    judge = stage.config.judge
    judged = chosen(read_rows(stage.heldout), judge.validation.prompts, stage.config.seed)
    as_judge, as_solver = (
        {SAMPLES: samples, BY: loop}
        for samples, loop in ((judge.validation.samples, LOOP), (judge.solving.samples, SOLVING_LOOP))
    )
    write_parquet(stage.validated, [*(_plain(row) | as_judge for row in judged), *(row | as_solver for row in rows)])


def chosen(rows: Sequence[dict[str, Any]], most: int, seed: int) -> list[dict[str, Any]]:
    """The rows that verl would choose by its own limit of ``most`` rows and its seed. 0: all rows."""
    if not 0 < most < len(rows):
        return list(rows)
    return [rows[place] for place in np.random.default_rng(seed).choice(len(rows), size=most, replace=False)]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A judge row without the judged solution, whose columns might be of other types than a problem's own."""
    return row | {"extra_info": {name: row["extra_info"][name] for name in OWN_FIELDS}}
