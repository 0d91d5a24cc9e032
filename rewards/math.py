"""The default verifier: exact comparison first, the symbolic engine for the rest."""

from __future__ import annotations

from rewards.comparison.compare import compare, compare_in_text, compare_quick
from rewards.errors import InputError
from rewards.extraction.extract import FreeText
from rewards.extraction.gold import gold_answer
from rewards.types import Problem, Result


def verify(problem: Problem, answer: str) -> Result:
    """Compare an extracted answer with ``problem.gold`` under the policy of docs/rewards.md.

    May need the symbolic engine, whose cost nothing bounds: call it inside a pool's worker.

    Raises:
        InputError: the problem has no gold answer.
    """
    if isinstance(answer, FreeText):
        return compare_in_text(gold=_gold(problem), text=answer)
    return compare(gold=_gold(problem), answer=answer)


def verify_quick(problem: Problem, answer: str) -> Result | None:
    """The part of ``verify`` that is exact, bounded and free of the engine; None when the engine is needed."""
    return None if isinstance(answer, FreeText) else compare_quick(gold=_gold(problem), answer=answer)


def _gold(problem: Problem) -> str:
    if problem.gold is None:
        raise InputError(f"problem {problem.id!r} has no gold answer", "give one, or name another verifier")
    return gold_answer(problem.gold)
