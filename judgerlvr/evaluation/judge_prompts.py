"""Judge prompts of every sample of an evaluation, without balancing, so that each sample can get a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from data.importing.options import ReadOptions
from data.judge_row import judge_schema, render_judge_rows
from data.labelling import Triplet, View, judge_id
from data.problems import read_problems
from data.verl_rows import write_parquet
from judgerlvr.evaluation.records import Record
from rewards.errors import InputError
from rewards.types import Problem


def judge_triplets(solutions: Sequence[Record], problems: Mapping[str, Problem]) -> list[Triplet]:
    """One triplet for each different response with an answer. The label is the grader's.

    Raises:
        InputError: the problem of a response is not given.
    """
    view, found = View(), dict[str, Triplet]()
    for record in solutions:
        if record.answer is None:
            continue
        problem = problems.get(record.problem_id)
        if problem is None:
            text = f"problem {record.problem_id} of set {record.set} is not in the given files"
            raise InputError(text, "give all files of problems after --problems")
        shown = view.shown(record.response)
        item = judge_id(problem.id, shown)
        # Samples with the same text share a judge prompt and need a single verdict.
        found.setdefault(item, Triplet(problem, shown, record.answer, record.score == 1.0, record.set, item))
    return list(found.values())


def read_texts(files: Sequence[Path]) -> dict[str, Problem]:
    """The problems of all files by id."""
    options = ReadOptions(need_gold=False)
    return {problem.id: problem for file in files for problem in read_problems(file, options)}


def write_judge_prompts(solutions: Sequence[Record], files: Sequence[Path], template: str, out: Path) -> int:
    """Write the rows as ``judgerlvr.evaluate --judge-data`` reads them, and return the number of rows.

    Raises:
        InputError: there is no response with an answer, or the problem of one is not given.
    """
    triplets = judge_triplets(solutions, read_texts(files))
    if not triplets:
        raise InputError("no response with an answer", "evaluate generate prompts first")
    return write_parquet(out, render_judge_rows(triplets, template), judge_schema())
