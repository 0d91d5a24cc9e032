"""MATH-500."""

from judgerlvr.evaluation.tasks.competition import competition
from judgerlvr.evaluation.tasks.prompts import MATHS
from judgerlvr.evaluation.tasks.task import TEXT, WHOLE, Source, Task

MATH500 = Task(
    name="math500",
    title="MATH-500",
    domain="in",
    source=Source(
        "HuggingFaceH4/MATH-500",
        "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        ("test.jsonl",),
        500,
        "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
    ),
    licence="MIT (of the MATH data set)",
    columns={"problem": TEXT, "answer": TEXT, "level": WHOLE, "unique_id": TEXT},
    to_problem=competition("problem", "answer", "unique_id"),
    prompt=MATHS,
    n=4,
)
