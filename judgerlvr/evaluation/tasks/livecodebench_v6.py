"""LiveCodeBench, the problems that release v6 added."""

from data.identity import make_problem
from judgerlvr.evaluation.tasks.prompts import AS_IT_IS
from judgerlvr.evaluation.tasks.task import TEXT, Row, Source, Task
from rewards.types import Problem

_STDIN = "Write a Python 3 program that reads the input from stdin and writes the answer to stdout."
_FUNCTION = "Complete the following Python 3 code. Keep its names."
_END = "Put the whole program into a single block between ```python and ```."


def to_problem(row: Row) -> Problem:
    starter = row["starter_code"].rstrip()
    ask = f"{_FUNCTION}\n\n```python\n{starter}\n```" if starter else _STDIN
    names = ("public_test_cases", "private_test_cases", "metadata")
    text = f"{row['question_content'].strip()}\n\n{ask}\n\n{_END}"
    return make_problem(text, None, {name: row[name] for name in names}, row["question_id"])


LIVECODEBENCH_V6 = Task(
    name="livecodebench_v6",
    title="LiveCodeBench v6",
    domain="out",
    source=Source(
        "livecodebench/code_generation_lite",
        "0fe84c3912ea0c4d4a78037083943e8f0c4dd505",
        ("test6.jsonl",),
        175,
        "bb4c364f71921c4495a6ad15abe1a927350b720009f4933e2e71f8af0f6fd1f5",
    ),
    licence="CC (kind not stated)",
    columns=dict.fromkeys(
        (
            "question_id",
            "question_content",
            "starter_code",
            "contest_date",
            "public_test_cases",
            "private_test_cases",
            "metadata",
        ),
        TEXT,
    ),
    to_problem=to_problem,
    prompt=AS_IT_IS,
    n=4,
    scorer="code",
    note="Window: contests of 2025-01-04 to 2025-04-06, the file that release v6 added.",
)
