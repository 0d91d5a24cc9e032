"""AIME 2025, both papers."""

from judgerlvr.evaluation.tasks.competition import competition
from judgerlvr.evaluation.tasks.prompts import MATHS
from judgerlvr.evaluation.tasks.task import NUMBER_OR_TEXT, TEXT, Source, Task

AIME25 = Task(
    name="aime25",
    title="AIME 2025",
    domain="in",
    source=Source("opencompass/AIME2025", "a6ad95f611d72cf628a80b58bd0432ef6638f958", ("*.jsonl",), 30),
    licence="MIT (problems: MAA)",
    columns={"question": TEXT, "answer": NUMBER_OR_TEXT},
    to_problem=competition("question", "answer"),
    prompt=MATHS,
    n=16,
)
