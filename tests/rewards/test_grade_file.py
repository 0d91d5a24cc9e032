"""``python -m rewards.grade_file``: its table, exit codes and one-line errors; and the public equivalence suites."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from rewards.grade_file import main, read_pairs
from rewards.grading.pool import GraderPool
from rewards.types import Problem

DATA = os.environ.get("JUDGERLVR_TEST_DATA")
DOCS = Path(__file__).parents[2] / "docs" / "rewards.md"
needs_data = pytest.mark.skipif(not DATA, reason="JUDGERLVR_TEST_DATA is not set")


def write(path: Path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_table_of_reasons(tmp_path, capsys):
    rows = [("7", "\\boxed{7}", 1), ("7", "\\boxed{8}", 1), ("7", "7", 0)]
    file = write(tmp_path / "pairs.jsonl", [dict(zip(("gold", "pred", "expected"), row, strict=True)) for row in rows])
    assert main([file, "--out", str(tmp_path / "out.jsonl")]) == 0
    shown = capsys.readouterr().out
    assert "expected labels: 2 of 3 agree" in shown and "no_final_answer" in shown
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
def test_other_kinds_of_files_are_read(tmp_path, suffix):
    path, rows = tmp_path / f"pairs{suffix}", [{"ground_truth": "7", "completion": "\\boxed{7}"}]
    if suffix == ".json":
        path.write_text(json.dumps(rows))
    elif suffix == ".csv":
        path.write_text("ground_truth,completion\n7,\\boxed{7}\n")
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert read_pairs(path) == [{"row": 1, "gold": "7", "prediction": "\\boxed{7}"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.jsonl", None),
        ("empty.jsonl", ""),
        ("broken.jsonl", "{"),
        ("list.jsonl", "[1]\n"),
        ("nogold.jsonl", '{"pred": "7"}\n'),
        ("nopred.jsonl", '{"gold": "7"}\n'),
        ("emptygold.jsonl", '{"gold": " ", "pred": "7"}\n'),
        ("object.json", "{}"),
        ("bad.json", "["),
        ("bad.parquet", "PAR0"),
        ("pairs.txt", "7 7"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys, name, content):
    if content is not None:
        (tmp_path / name).write_text(content)
    assert main([str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and name in error


def misses(suite: str, *, boxed: bool) -> set[int]:
    """Rows, counted from 1, that lenient mode grades otherwise than the suite expects."""
    lines = (Path(DATA or "") / "equivalence" / f"{suite}.jsonl").read_text(encoding="utf-8").splitlines()
    found = set()
    with GraderPool(workers=1, mode="lenient") as pool:
        for number, row in enumerate(map(json.loads, lines), start=1):
            gold, prediction = (f"\\boxed{{{row[key]}}}" if boxed else str(row[key]) for key in ("gold", "pred"))
            result = pool.grade(Problem("", "", gold), prediction)
            found |= {number} if bool(result.score) != bool(row["expected"]) else set()
    return found


def named_rows(heading: str) -> set[int]:
    """Row numbers in the first column of a table of docs/rewards.md under a heading."""
    section = DOCS.read_text(encoding="utf-8").split(heading)[1].split("\n#")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return {int(number) for cell in cells for number in re.findall(r"[0-9]+", cell)}


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_a_file_in_latin_1_is_refused_in_one_line(tmp_path, capsys, suffix):
    path = tmp_path / f"pairs{suffix}"
    path.write_bytes("gold,pred\n7,é\n".encode("latin-1"))
    assert main([str(path)]) == 2
    assert "not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_a_byte_order_mark_is_passed_over(tmp_path, suffix):
    text = {".csv": "gold,pred\n7,8\n", ".json": '[{"gold": "7", "pred": "8"}]'}.get(
        suffix, '{"gold": "7", "pred": "8"}'
    )
    path = tmp_path / f"pairs{suffix}"
    path.write_text(text, encoding="utf-8-sig")
    assert read_pairs(path) == [{"row": 1, "gold": "7", "prediction": "8"}]


@needs_data
def test_every_miss_of_the_math_verify_suite_is_named_in_the_documentation():
    assert misses("math-verify", boxed=False) == named_rows("### math-verify, 268 rows")


@needs_data
def test_every_miss_of_the_nemo_suite_is_named_in_the_documentation():
    assert misses("nemo-skills", boxed=True) == named_rows("### NeMo-Skills, 30 rows")
