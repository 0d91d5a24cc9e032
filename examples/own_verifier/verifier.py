"""A verifier for another task than maths: sort the words of a problem."""

from __future__ import annotations

from rewards.types import Problem, Reason, Result


def words_of(text: str) -> list[str]:
    """The words of a comma-separated list, without spaces around them."""
    return [word.strip() for word in text.split(",")]


def verify(problem: Problem, answer: str) -> Result:
    """1 if the answer lists the words of the gold answer in the same order, else 0."""
    words = words_of(answer)
    if not all(words):
        return Result(0.0, Reason.UNPARSABLE)
    right = words == words_of(problem.gold or "")
    return Result(float(right), Reason.CORRECT if right else Reason.WRONG)
