"""HMMT of February 2025."""

from judgerlvr.evaluation.tasks.competition import competition
from judgerlvr.evaluation.tasks.prompts import MATHS
from judgerlvr.evaluation.tasks.task import TEXT, WHOLE, Source, Task

HMMT_FEB_2025 = Task(
    name="hmmt_feb_2025",
    title="HMMT Feb 2025",
    domain="in",
    source=Source("MathArena/hmmt_feb_2025", "6fdc4277120810ff75aa22d2d5489b91f7a262a1", ("data/*.parquet",), 30),
    licence="CC-BY-NC-SA-4.0",
    columns={"problem_idx": WHOLE, "problem": TEXT, "answer": TEXT},
    to_problem=competition("problem", "answer", "problem_idx"),
    prompt=MATHS,
    n=16,
)
