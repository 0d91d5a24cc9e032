"""ZebraLogic, whole grids."""

import json

from data.identity import make_problem
from judgerlvr.evaluation.scoring.zebra import wanted
from judgerlvr.evaluation.tasks.prompts import AS_IT_IS
from judgerlvr.evaluation.tasks.task import TEXT, Row, Source, Task
from rewards.types import Problem

_ASK = """Solve the puzzle. Reason step by step. End with a JSON object in exactly this form, every ___ filled in:"""


def to_problem(row: Row) -> Problem:
    grid: dict[str, dict[str, str]] = {}
    for house, name, value in wanted(row["solution"]):
        # The public copy of another repository has blanks in place of the cells, and blanks would match blanks.
        if not value.strip("_ "):
            raise ValueError(f"the solution has no value for {name} of house {house}")
        grid.setdefault(f"House {house}", {})[name] = "___"
    form = json.dumps({"solution": grid}, indent=1, ensure_ascii=False)
    return make_problem(f"{row['puzzle'].strip()}\n\n{_ASK}\n\n{form}", None, {"solution": row["solution"]}, row["id"])


ZEBRALOGIC = Task(
    name="zebralogic",
    title="ZebraLogic (grids)",
    domain="out",
    source=Source(
        "WildEval/ZebraLogic",
        "0a473f5a0054835754ed156d5a79c6ce27178bb1",
        ("grid_mode/*.parquet",),
        1000,
        "545cd5cce9c54575c7f74769b8f1250b8bb94f5745519c83b99b8db01f95924d",
    ),
    licence="none stated",
    columns={"id": TEXT, "puzzle": TEXT, "solution": (dict,)},
    to_problem=to_problem,
    prompt=AS_IT_IS,
    n=1,
    verifier="judgerlvr.evaluation.scoring.zebra:verify",
    note="A response counts if every cell of its grid is right.",
)
