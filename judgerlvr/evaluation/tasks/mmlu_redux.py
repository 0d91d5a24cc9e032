"""MMLU-Redux 2.0, without the questions that its annotators found faulty."""

from judgerlvr.evaluation.tasks.options import question
from judgerlvr.evaluation.tasks.prompts import CHOICE
from judgerlvr.evaluation.tasks.task import TEXT, WHOLE, Row, Source, Task
from rewards.types import Problem

SOUND = "ok"


def to_problem(row: Row) -> Problem | None:
    if row["error_type"] != SOUND:
        return None
    return question(row["question"], row["choices"], row["answer"])


MMLU_REDUX = Task(
    name="mmlu_redux",
    title="MMLU-Redux 2.0",
    domain="out",
    source=Source(
        "edinburgh-dawg/mmlu-redux-2.0", "372ea425445d51e1ba1188c56e5e893f8138621f", ("*/data-*.arrow",), 5700
    ),
    licence="CC-BY-4.0",
    columns={"question": TEXT, "choices": (list,), "answer": WHOLE, "error_type": TEXT},
    to_problem=to_problem,
    prompt=CHOICE,
    n=1,
    note="Only questions whose error_type is ok.",
)
