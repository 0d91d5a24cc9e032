"""The default verifier with an endless answer. The benchmark measures the cost for other answers."""

from __future__ import annotations

from rewards.math import verify as verify_answer
from rewards.math import verify_key, verify_quick
from rewards.types import Problem, Result

ENDLESS = "endless"

__all__ = ["ENDLESS", "verify", "verify_key", "verify_quick"]


def verify(problem: Problem, answer: str) -> Result:
    """``rewards.math.verify``, except that a problem with the text ENDLESS keeps a processor busy for ever."""
    while ENDLESS in problem.text:
        pass
    return verify_answer(problem, answer)
