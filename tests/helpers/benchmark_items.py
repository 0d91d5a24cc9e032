"""Three items of our own invention for each benchmark task, in the container of the real files, with responses."""

import base64
import csv
import json
import pickle
import zlib
from dataclasses import dataclass, replace

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

from judgerlvr.evaluation.tasks import TASKS

BOX = "Thinking aloud.</think>So \\boxed{{{}}}."
UNBOXED = "Thinking aloud.</think>I do not know."


@dataclass(frozen=True)
class Fixture:
    """``responses`` are (right, wrong, malformed) of each item."""

    rows: list[dict]
    ending: str
    responses: list[tuple[str, str, str]]


def boxed(right, wrong):
    return BOX.format(right), BOX.format(wrong), UNBOXED


def sums(text="problem", answer="answer", **more):
    """Three additions as a competition has them, with further columns."""
    rows = [{text: f"Add {n} and {n * n}.", answer: str(n + n * n)} for n in (3, 5, 7)]
    return [row | {name: make(place) for name, make in more.items()} for place, row in enumerate(rows)]


SUMS = [boxed(n + n * n, n * n - 1) for n in (3, 5, 7)]
SOLUTION = "A worked solution with \\boxed{0}."
MATHS = {
    "aime24": Fixture(sums(id=int, solution=lambda n: SOLUTION, year=lambda n: "2024"), ".parquet", SUMS),
    "aime25": Fixture(sums("question"), ".jsonl", SUMS),
    "math500": Fixture(sums(level=int, unique_id=str, solution=lambda n: SOLUTION), ".jsonl", SUMS),
    "hmmt_feb_2025": Fixture(sums(problem_idx=int, problem_type=lambda n: ["Algebra"]), ".parquet", SUMS),
    "beyond_aime": Fixture([row | {"answer": int(row["answer"])} for row in sums()], ".parquet", SUMS),
}


def gpqa():
    rows = [
        {
            "Question": f"Which number is {n} doubled?",
            "Correct Answer": f"{2 * n}",
            **{f"Incorrect Answer {k}": f"{2 * n + k}" for k in (1, 2, 3)},
        }
        for n in (11, 12, 13)
    ]
    golds = [TASKS["gpqa_diamond"].to_problem(row).gold for row in rows]
    return Fixture(rows, ".csv", [boxed(gold, "ABCD"["ABCD".index(gold) - 1]) for gold in golds])


def mmlu():
    rows = [
        {
            "question": f"Which colour has number {n}?",
            "choices": ["red", "green", "blue", "grey"],
            "answer": n,
            "error_type": "ok",
        }
        for n in (0, 1, 2)
    ]
    return Fixture(rows, ".arrow", [boxed("ABC"[n], "D") for n in (0, 1, 2)])


def ifeval():
    asks = [
        ("Write a line without a comma.", "punctuation:no_comma", {}),
        ("Write in lower case.", "change_case:english_lowercase", {}),
        ("Use the word maple.", "keywords:existence", {"keywords": ["maple"]}),
    ]
    rows = [
        {"key": key, "prompt": prompt, "instruction_id_list": [name], "kwargs": [arguments]}
        for key, (prompt, name, arguments) in enumerate(asks, start=1)
    ]
    texts = [("No commas here.", "One, two."), ("all of this is small english text.", "LOUD."), ("A maple.", "An oak.")]
    return Fixture(rows, ".jsonl", [(f"x</think>{good}", f"x</think>{bad}", "x</think>") for good, bad in texts])


def encoded(tests):
    """Private tests as the real file has them."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


def code(text):
    return f"x</think>Here:\n```python\n{text}\n```\n"


def livecodebench():
    def test(given, expected, kind):
        return {"input": given, "output": expected, "testtype": kind}

    def row(place, text, starter, name, kind, tests):
        metadata = {"func_name": name} if name else {}
        return {
            "question_id": f"own_{place}",
            "question_content": text,
            "starter_code": starter,
            "contest_date": "2025-02-01T00:00:00",
            "public_test_cases": json.dumps([test(*tests[0], kind)]),
            "private_test_cases": encoded([test(*pair, kind) for pair in tests[1:]]),
            "metadata": json.dumps(metadata),
        }

    starter = "class Solution:\n    def tripled(self, values: List[int]) -> List[int]:\n        "
    rows = [
        row(1, "Print the sum of two numbers.", "", None, "stdin", [("1 2\n", "3\n"), ("10 -4\n", "6")]),
        row(2, "Print each line backwards.", "", None, "stdin", [("ab\ncd\n", "ba\ndc\n"), ("x", "x")]),
        row(3, "Triple each value.", starter, "tripled", "functional", [("[1, 2]", "[3, 6]"), ("[]", "[]")]),
    ]
    responses = [
        (code("print(sum(map(int, input().split())))"), code("print(3)"), "x</think>print(3)"),
        (code("for line in sys.stdin:\n    print(line.strip()[::-1])"), code("print(input())"), code("")),
        (code(starter + "return [3 * v for v in values]"), code(starter + "return values"), "x</think>```\n"),
    ]
    return Fixture(rows, ".jsonl", responses)


def grid(names):
    return json.dumps({"reasoning": "by the clues", "solution": {f"House {n}": v for n, v in enumerate(names, 1)}})


def zebra():
    people = [("Ada", "Bo"), ("Cy", "Di"), ("Ed", "Flo")]
    rows = [
        {
            "id": f"own-{a}",
            "size": "2*2",
            "puzzle": f"{a} lives left of {b}. {a} drinks tea, {b} milk.",
            "solution": {"header": ["House", "Name", "Drink"], "rows": [["1", a, "tea"], ["2", b, "milk"]]},
        }
        for a, b in people
    ]
    right = [[{"Name": a, "Drink": "tea"}, {"name": b.upper(), "Drink": " milk"}] for a, b in people]
    wrong = [[{"Name": b, "Drink": "tea"}, {"Name": a, "Drink": "milk"}] for a, b in people]
    responses = [
        (f"x</think>{{not json}} {grid(good)}", f"x</think>{grid(good)} no: {grid(bad)}", 'x</think>{"solution": {')
        for good, bad in zip(right, wrong, strict=True)
    ]
    return Fixture(rows, ".parquet", responses)


def fixtures():
    """The fixture of each task by name."""
    others = {
        "gpqa_diamond": gpqa(),
        "ifeval": ifeval(),
        "livecodebench_v6": livecodebench(),
        "mmlu_redux": mmlu(),
        "zebralogic": zebra(),
    }
    return MATHS | others


def write_rows(path, rows):
    """Rows in the container that the ending of the path names."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        table = pyarrow.Table.from_pylist(rows)
        with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return path


def small_task(name):
    """The task with the row count of its fixture, and without the hash of the real file."""
    task = TASKS[name]
    return replace(task, source=replace(task.source, rows=3, sha256=""))


def write_suite(folder, names=tuple(TASKS), lines=()):
    """Files of the fixtures and a suite that names them. Tests replace the tasks by ``small_task``."""
    entries = list(lines)
    for name in names:
        fixture = fixtures()[name]
        file = write_rows(folder / f"{name}{fixture.ending}", fixture.rows)
        entries.append(f"{{task: {name}, file: {file}, n: 2}}")
    suite = folder / "suite.yaml"
    suite.write_text("tasks:\n" + "".join(f"  - {entry}\n" for entry in entries))
    return suite
