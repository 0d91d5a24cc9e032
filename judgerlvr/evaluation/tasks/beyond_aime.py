"""BeyondAIME."""

from judgerlvr.evaluation.tasks.competition import competition
from judgerlvr.evaluation.tasks.prompts import MATHS
from judgerlvr.evaluation.tasks.task import NUMBER_OR_TEXT, TEXT, Source, Task

BEYOND_AIME = Task(
    name="beyond_aime",
    title="BeyondAIME",
    domain="in",
    source=Source("ByteDance-Seed/BeyondAIME", "", ("*.parquet",), 100),
    licence="CC0-1.0",
    columns={"problem": TEXT, "answer": NUMBER_OR_TEXT},
    to_problem=competition("problem", "answer"),
    prompt=MATHS,
    n=8,
)
