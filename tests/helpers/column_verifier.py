"""A verifier of a user that reads a column of the problems' file, and no gold answer."""

from rewards.types import Reason, Result
from rewards.verifier import verifier


@verifier(needs_gold=False)
def verify(problem, answer):
    """1 if the answer is the number in ``sealed.value``. A row without the column is an error."""
    right = answer.strip() == problem.meta["sealed"]["value"]
    return Result(float(right), Reason.CORRECT if right else Reason.WRONG)
