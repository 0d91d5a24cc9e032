"""The default verifier: the comparison of ``rewards.comparison`` with the problem's gold answers."""

from __future__ import annotations

from rewards.comparison.compare import compare, compare_quick
from rewards.errors import InputError
from rewards.extraction.gold import gold_answer
from rewards.types import Problem, Result


def verify(problem: Problem, answer: str) -> Result:
    """Compare an extracted answer with ``problem.gold`` under the policy of docs/rewards.md.

    Raises:
        InputError: the problem has no gold answer.
    """
    return compare(gold=_gold(problem), answer=answer, problem_text=problem.text)


def verify_quick(problem: Problem, answer: str) -> Result | None:
    """The part of ``verify`` that is fast and bounded; None when a worker must decide."""
    return compare_quick(gold=_gold(problem), answer=answer, problem_text=problem.text)


def _gold(problem: Problem) -> str:
    if problem.gold is None:
        raise InputError(f"problem {problem.id!r} has no gold answer", "give one, or name another verifier")
    return gold_answer(problem.gold)
