"""AIME 2024, both papers."""

from judgerlvr.evaluation.tasks.competition import competition
from judgerlvr.evaluation.tasks.prompts import MATHS
from judgerlvr.evaluation.tasks.task import NUMBER_OR_TEXT, TEXT, Source, Task

AIME24 = Task(
    name="aime24",
    title="AIME 2024",
    domain="in",
    source=Source(
        "HuggingFaceH4/aime_2024",
        "2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
        ("data/*.parquet",),
        30,
        "26139847601a5037c237d5928b195e7260ca8074cf4f264b794af42847f79ccf",
    ),
    licence="none stated (problems: MAA)",
    columns={"id": NUMBER_OR_TEXT, "problem": TEXT, "answer": NUMBER_OR_TEXT},
    to_problem=competition("problem", "answer", "id"),
    prompt=MATHS,
    n=16,
)
