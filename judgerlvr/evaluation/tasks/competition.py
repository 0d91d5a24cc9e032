"""Problems of a maths competition: a text and a final answer."""

from __future__ import annotations

from collections.abc import Callable

from data.identity import make_problem
from judgerlvr.evaluation.tasks.task import Row
from rewards.types import Problem


def competition(text: str, answer: str, label: str = "") -> Callable[[Row], Problem]:
    """A function from a row to its problem. The arguments are names of columns."""

    def to_problem(row: Row) -> Problem:
        return make_problem(row[text], str(row[answer]).strip(), given_id=str(row[label]) if label else "")

    return to_problem
