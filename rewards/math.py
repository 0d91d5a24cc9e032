"""The default verifier: the comparison of ``rewards.comparison`` with the problem's gold answers."""

from __future__ import annotations

from rewards.comparison.compare import compare, compare_quick
from rewards.errors import InputError
from rewards.extraction.gold import gold_answers
from rewards.types import Problem, Result


def verify(problem: Problem, answer: str) -> Result:
    """Compare an extracted answer with each gold of the problem under the policy of docs/rewards.md.

    Raises:
        InputError: the problem has no gold answer.
    """
    results = (compare(gold=gold, answer=answer, problem_text=problem.text) for gold in _golds(problem))
    first = next(results)
    return first if first.score else next((result for result in results if result.score), first)


def verify_quick(problem: Problem, answer: str) -> Result | None:
    """The part of ``verify`` that is fast and bounded; None when a worker must decide."""
    results = [compare_quick(gold=gold, answer=answer, problem_text=problem.text) for gold in _golds(problem)]
    right = next((result for result in results if result is not None and result.score), None)
    return right if right is not None else None if None in results else results[0]


def verify_key(problem: Problem, answer: str) -> tuple[str | None, str, str]:
    """All that ``verify`` reads: golds, the nouns of the text, the answer."""
    return problem.gold, problem.text, answer


def _golds(problem: Problem) -> tuple[str, ...]:
    if problem.gold is None:
        raise InputError(f"problem {problem.id!r} has no gold answer", "give one, or name another verifier")
    return gold_answers(problem.gold)
