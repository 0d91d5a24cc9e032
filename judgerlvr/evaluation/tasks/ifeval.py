"""IFEval, prompt-strict."""

from data.identity import make_problem
from judgerlvr.evaluation.tasks.prompts import AS_IT_IS
from judgerlvr.evaluation.tasks.task import NUMBER_OR_TEXT, TEXT, Row, Source, Task
from rewards.types import Problem


def to_problem(row: Row) -> Problem:
    meta = {"key": row["key"], "instruction_id_list": row["instruction_id_list"], "kwargs": row["kwargs"]}
    return make_problem(row["prompt"], None, meta, str(row["key"]))


IFEVAL = Task(
    name="ifeval",
    title="IFEval (prompt-strict)",
    domain="out",
    source=Source(
        "google/IFEval",
        "966cd89545d6b6acfd7638bc708b98261ca58e84",
        ("ifeval_input_data.jsonl",),
        541,
        "6a85310ca8ce15eff755aa08a3a4ff931c7e273e7515ebb3c492ea85fd8288f2",
    ),
    licence="Apache-2.0",
    columns={"key": NUMBER_OR_TEXT, "prompt": TEXT, "instruction_id_list": (list,), "kwargs": (list,)},
    to_problem=to_problem,
    prompt=AS_IT_IS,
    n=4,
    scorer="instructions",
    note="A response counts if it follows every instruction of its prompt.",
)
