"""A verifier of instructions: it reads the whole response and a column of the problem, and needs no gold."""

from rewards.types import Problem, Reason, Result
from rewards.verifier import verifier


@verifier(reads="response", needs_gold=False)
def keeps(problem: Problem, response: str) -> Result:
    """Right if the response has the digit of the problem's column ``must_have``."""
    right = str(problem.meta["must_have"]) in response
    return Result(float(right), Reason.CORRECT if right else Reason.WRONG)
