"""AIME 2025, both papers."""

from judgerlvr.evaluation.tasks.competition import competition
from judgerlvr.evaluation.tasks.prompts import MATHS
from judgerlvr.evaluation.tasks.task import NUMBER_OR_TEXT, TEXT, Source, Task, joined_hash

AIME25 = Task(
    name="aime25",
    title="AIME 2025",
    domain="in",
    source=Source(
        "opencompass/AIME2025",
        "a6ad95f611d72cf628a80b58bd0432ef6638f958",
        ("*.jsonl",),
        30,
        joined_hash(
            [
                "b91b3c96f05d9635d2a0692b124ebe023c1ff59cb19c074275e6c4b349d0659e",
                "16a2dcfbbf9db1b11f8a69a3ba5e4cac73e3641b19a37e2307e9c12240bbed5e",
            ]
        ),
    ),
    licence="MIT (problems: MAA)",
    columns={"question": TEXT, "answer": NUMBER_OR_TEXT},
    to_problem=competition("question", "answer"),
    prompt=MATHS,
    n=16,
)
