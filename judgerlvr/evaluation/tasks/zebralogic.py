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
    for house, name, _ in wanted(row["solution"]):
        grid.setdefault(f"House {house}", {})[name] = "___"
    form = json.dumps({"solution": grid}, indent=1, ensure_ascii=False)
    return make_problem(f"{row['puzzle'].strip()}\n\n{_ASK}\n\n{form}", None, {"solution": row["solution"]}, row["id"])


ZEBRALOGIC = Task(
    name="zebralogic",
    title="ZebraLogic (grids)",
    domain="out",
    source=Source("WildEval/ZebraLogic", "", ("grid_mode/*.parquet",), 1000),
    licence="none stated",
    columns={"id": TEXT, "puzzle": TEXT, "solution": (dict,)},
    to_problem=to_problem,
    prompt=AS_IT_IS,
    n=1,
    verifier="judgerlvr.evaluation.scoring.zebra:verify",
    note="A response counts if every cell of its grid is right.",
)
