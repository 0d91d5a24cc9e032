"""BeyondAIME."""

from judgerlvr.evaluation.tasks.competition import competition
from judgerlvr.evaluation.tasks.prompts import MATHS
from judgerlvr.evaluation.tasks.task import NUMBER_OR_TEXT, TEXT, Source, Task

BEYOND_AIME = Task(
    name="beyond_aime",
    title="BeyondAIME",
    domain="in",
    source=Source(
        "ByteDance-Seed/BeyondAIME",
        "c705198ae1043810b1e1693bd879250b51a7a523",
        ("data/test.parquet",),
        100,
        "969750458ae4796e783b6b5ae004cf48587f10683bd5b5ac00220c50561e1df6",
    ),
    licence="CC0-1.0",
    columns={"problem": TEXT, "answer": NUMBER_OR_TEXT},
    to_problem=competition("problem", "answer"),
    prompt=MATHS,
    n=8,
)
