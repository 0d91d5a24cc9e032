"""Nouns of grading: what is graded, and the record that comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """Why a score is what it is. Every zero has exactly one reason."""

    CORRECT = "correct"
    WRONG = "wrong"  # a well-formed answer that differs from the gold
    NO_FINAL_ANSWER = "no_final_answer"  # nothing to grade after the thinking part
    TRUNCATED = "truncated"  # the last box is unterminated or empty, or the output was cut
    UNEVALUATED = "unevaluated"  # an expression left to the grader to work out
    UNPARSABLE = "unparsable"  # foreign digits, invisible characters, or nothing at all
    UNCOVERED = "uncovered"  # a token that no reading owns, and not the same tokens as the gold
    TOO_COMPLEX = "too_complex"  # refused before parsing: too long, too deep or too costly
    BAD_VERDICT = "bad_verdict"  # boxed, but not one of the two verdict words
    TIMEOUT = "timeout"  # the grading process was killed


@dataclass(frozen=True)
class Problem:
    """One problem as every verifier sees it.

    ``gold`` is None for tasks whose verifier needs no reference answer; ``meta`` carries what such a
    verifier needs instead.
    """

    id: str
    text: str
    gold: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """Score in {0.0, 1.0}, its reason, the parts it is made of, and the seconds that grading took.

    ``reason`` is a ``Reason``, or a name of a verifier's own where none of them fits.

    ``verdict`` is what a judge response says of the solution: True for right, None where it gives no verdict.
    """

    score: float
    reason: StrEnum
    parts: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    verdict: bool | None = None


def check_result(result: Any) -> Result:
    """The same result. Raises TypeError for what a verifier may not return. NaN is no score either."""
    if not isinstance(result, Result):
        raise TypeError(f"returned {repr(result)[:80]}, not a rewards.types.Result")
    if result.score not in (0.0, 1.0):
        raise TypeError(f"returned the score {result.score!r}, not 0.0 or 1.0")
    return result


# (problem, text) -> Result. The text is the final answer unless ``rewards.verifier.verifier`` says otherwise.
Verifier = Callable[[Problem, str], Result]
