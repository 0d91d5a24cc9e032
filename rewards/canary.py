"""Proof that the reward still works: each gold answer is right against itself, and a wrong one is not."""

from __future__ import annotations

from collections.abc import Iterable

from rewards.grading.pool import GraderPool
from rewards.types import Problem, Reason, Result
from rewards.verifier import DEFAULT_VERIFIER

# Needs the symbolic engine, so that a dead engine or a dead worker cannot hide behind exact comparison.
_PROBE_GOLD = "x^2+2x+1"
_PROBES = (("(x+1)^2", True), ("(x+2)^2", False))


def canary(pool: GraderPool, golds: Iterable[Problem]) -> list[str]:
    """One line for each gold that fails against itself, and for each probe of the engine that goes wrong.

    Golds are graded as a completion would be (boxed, through extraction) and once more inside a worker process.
    Problems without a gold are skipped. An empty list means that the run may go on.
    """
    problems = [problem for problem in golds if problem.gold is not None]
    graded = pool.grade_many([(problem, pool.completion_of(problem.gold or "")) for problem in problems])
    in_worker = [pool.submit_answer(problem, problem.gold or "", in_worker=True) for problem in problems]
    failures = [_line(problem, result) for problem, result in zip(problems, graded, strict=True) if not result.score]
    for problem, future in zip(problems, in_worker, strict=True):
        if not future.result().score:
            failures.append(_line(problem, future.result()) + " (in a worker)")
    return [*failures, *(_probe_engine(pool) if pool.verifier == DEFAULT_VERIFIER else ())]


def _probe_engine(pool: GraderPool) -> list[str]:
    problem = Problem("engine probe", "", _PROBE_GOLD)
    results = [(answer, right, pool.submit_answer(problem, answer, in_worker=True)) for answer, right in _PROBES]
    return [
        f"engine probe: {answer} against {_PROBE_GOLD} is {future.result().reason}"
        for answer, right, future in results
        if future.result().reason is not (Reason.CORRECT if right else Reason.WRONG)
    ]


def _line(problem: Problem, result: Result) -> str:
    return f"problem {problem.id}: gold {problem.gold!r} against itself is {result.reason}"
