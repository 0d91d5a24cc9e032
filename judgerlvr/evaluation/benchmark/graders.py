"""The grader of a task, and the reasons for which a task cannot be scored here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from judgerlvr.evaluation.grading import Grader
from judgerlvr.evaluation.scoring import ifeval, sandbox
from judgerlvr.evaluation.scoring.code import CodeGrader
from judgerlvr.evaluation.tasks.task import Task
from rewards.extraction.extract import Mode
from rewards.grading.settings import GradingSettings
from rewards.types import Problem
from rewards.verifier import load_verifier

# How the answer of a response is found, for every task.
EXTRACTION: Mode = "strict"


@contextmanager
def open_task_grader(task: Task, workers: int, thinking_open: bool, sandboxed: bool = True) -> Iterator[Grader]:
    """The grader of a task, closed at the end. ``thinking_open`` is as in ``GradingSettings``."""
    if task.scorer == "code":
        yield CodeGrader(workers, thinking_open, sandboxed)
    elif task.scorer == "instructions":
        yield ifeval.InstructionGrader(thinking_open)
    else:
        with GradingSettings(task.verifier, EXTRACTION, workers, thinking_open).open_pool() as pool:
            yield pool


def why_not_scored(task: Task, problems: Sequence[Problem], unsandboxed: bool) -> str | None:
    """Why a task cannot be scored on this machine, as a line, or None.

    Raises:
        InputError: the verifier cannot be imported.
    """
    if task.scorer == "instructions":
        return ifeval.why_unavailable(problems)
    if task.scorer == "code":
        why = None if unsandboxed else sandbox.why_unavailable()
        return f"no sandbox for sampled code: {why}; or give --allow-unsandboxed-code" if why else None
    load_verifier(task.verifier)
    return None
