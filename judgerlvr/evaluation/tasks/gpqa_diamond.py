"""GPQA-Diamond, with the options in an order of ours."""

from judgerlvr.evaluation.tasks.options import question, shuffled
from judgerlvr.evaluation.tasks.prompts import CHOICE
from judgerlvr.evaluation.tasks.task import TEXT, Row, Source, Task
from rewards.types import Problem

RIGHT = "Correct Answer"
OPTIONS = (RIGHT, "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def to_problem(row: Row) -> Problem:
    options = [row[name] for name in OPTIONS]
    order = shuffled(row["Question"], options)
    return question(row["Question"], [options[place] for place in order], order.index(0))


GPQA_DIAMOND = Task(
    name="gpqa_diamond",
    title="GPQA-Diamond",
    domain="out",
    source=Source(
        "Idavidrein/gpqa",
        "633f5ee89ab8ad4522a9f850766b73f62147ffdd",
        ("gpqa_diamond.csv",),
        198,
        "41d1213cd7a4998605a26c2798500652572007161b3a92817ba46b35befcd305",
    ),
    licence="CC-BY-4.0",
    gated=True,
    columns={"Question": TEXT, **dict.fromkeys(OPTIONS, TEXT)},
    to_problem=to_problem,
    prompt=CHOICE,
    n=4,
    note="The order of the options hangs on the question.",
)
