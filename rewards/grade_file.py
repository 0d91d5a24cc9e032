"""``python -m rewards.grade_file FILE``: grade a file of gold/prediction pairs and print a table of reasons."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from rewards.auditing.second_grader import second_opinion
from rewards.command_line import OneLineParser
from rewards.errors import InputError
from rewards.extraction.extract import Mode
from rewards.grading.settings import GradingSettings
from rewards.jsonl import not_utf8, read_jsonl
from rewards.stats import reason_counts, second_percentiles
from rewards.types import Problem, Reason, Result
from rewards.verifier import DEFAULT_VERIFIER
from rewards.wording import counted

GOLD_FIELDS = ("gold", "ground_truth", "expected_answer", "reference", "target", "answer")
PREDICTION_FIELDS = ("prediction", "pred", "completion", "response", "output", "predicted_answer")
EXPECTED_FIELDS = ("expected", "is_correct", "label")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when the file was graded, 2 for bad input."""
    options = _options(arguments)
    try:
        rows = read_pairs(options.file)
        results = grade_pairs(rows, options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report(rows, results, options.examples))
    if options.out:
        _write(options.out, rows, results)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m rewards.grade_file", description=__doc__)
    parser.add_argument("file", type=Path, help=".jsonl, .json (a list), .csv or .parquet")
    parser.add_argument(
        "--extraction",
        choices=[*get_args(Mode), "answer"],
        default="strict",
        help="strict: last complete box; lenient: other usual forms too; answer: predictions are bare answers",
    )
    parser.add_argument("--verifier", default=DEFAULT_VERIFIER, help="package.module:function")
    parser.add_argument("--workers", type=int, default=2, help="grading processes")
    parser.add_argument("--examples", type=int, default=3, help="rows shown for each reason that is not 'correct'")
    parser.add_argument("--out", type=Path, help="write every row with score, reason and seconds (.jsonl)")
    return parser.parse_args(arguments)


def read_pairs(path: Path) -> list[dict[str, Any]]:
    """Rows with the keys gold, prediction and, where the file has it, expected (bool).

    Raises:
        InputError: unreadable file, or a row without gold or prediction.
    """
    if not path.is_file():
        raise InputError("no such file", "give a .jsonl, .json, .csv or .parquet file", file=path)
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise InputError(f"unknown kind {path.suffix!r}", "use .jsonl, .json, .csv or .parquet", file=path)
    try:
        pairs = [_pair(row, path, number) for number, row in enumerate(reader(path), start=1)]
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error
    if not pairs:
        raise InputError("no rows", "give at least one gold/prediction pair", file=path)
    return pairs


def _pair(row: Any, path: Path, number: int) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise InputError(f"a {type(row).__name__}, not an object", "write one object a row", file=path, row=number)
    pair: dict[str, Any] = {"row": number}
    for name, aliases in (("prediction", PREDICTION_FIELDS), ("gold", GOLD_FIELDS)):
        found = next((alias for alias in aliases if alias in row), None)
        if found is None:
            raise InputError(
                f"no {name}", f"name the column one of {', '.join(aliases)}", file=path, row=number, field=name
            )
        pair[name] = "" if row[found] is None else str(row[found])
    if not pair["gold"].strip():
        raise InputError("empty gold", "give the reference answer", file=path, row=number, field="gold")
    expected = next((row[alias] for alias in EXPECTED_FIELDS if alias in row), None)
    if str(expected).casefold() in ("0", "1", "0.0", "1.0", "true", "false"):
        pair["expected"] = str(expected).casefold() in ("1", "1.0", "true")
    return pair


def _read_json(path: Path) -> Iterable[Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error}", "write a list of objects", file=path) from error
    if not isinstance(rows, list):
        raise InputError("not a list", "write a list of objects", file=path)
    return rows


def _read_csv(path: Path) -> Iterable[Any]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        yield from csv.DictReader(lines)


def _read_parquet(path: Path) -> Iterable[Any]:
    import pyarrow.parquet

    try:
        return list(pyarrow.parquet.read_table(path).to_pylist())
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"not parquet: {error}", "give a parquet file", file=path) from error


_READERS: dict[str, Callable[[Path], Iterable[Any]]] = {
    ".jsonl": read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


def grade_pairs(rows: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> list[Result]:
    """Results in the order of ``rows``."""
    bare = options.extraction == "answer"
    mode: Mode = "strict" if bare else options.extraction
    with GradingSettings(options.verifier, mode, options.workers).open_pool() as pool:
        grade = pool.submit_answer if bare else pool.submit
        futures = [grade(Problem(str(row["row"]), "", row["gold"]), row["prediction"]) for row in rows]
        return [future.result() for future in futures]


def report(rows: Sequence[Mapping[str, Any]], results: Sequence[Result], examples: int) -> str:
    """The table of reasons, agreement with expected labels, the second grader's opinion, and example rows."""
    lines = [f"{'reason':<16}{'rows':>8}{'share':>9}"]
    counts = reason_counts(results)
    lines += [f"{reason:<16}{count:>8}{count / len(results):>9.1%}" for reason, count in counts.items() if count]
    times = second_percentiles(results)
    lines.append(
        f"{counted(len(results), 'row')}; seconds p50 {times['p50']:.4f}, p99 {times['p99']:.4f}, "
        f"max {times['max']:.4f}"
    )
    pairs = list(zip(rows, results, strict=True))
    labelled = [(row, result) for row, result in pairs if "expected" in row]
    if labelled:
        agreed = sum(row["expected"] == bool(result.score) for row, result in labelled)
        lines.append(f"expected labels: {agreed} of {len(labelled)} agree")
    disputed = [row["row"] for row, result in pairs if _disputed(row, result)]
    lines.append(f"second grader disagrees on {len(disputed)}" + (f": rows {disputed[:20]}" if disputed else ""))
    for reason in (reason for reason in counts if reason is not Reason.CORRECT):
        shown = [row for row, result in pairs if result.reason is reason][:examples]
        lines += [
            f"{reason}: row {row['row']}: gold {row['gold'][:60]!r}, {row['prediction'][-60:]!r}" for row in shown
        ]
    return "\n".join(lines)


def _disputed(row: Mapping[str, Any], result: Result) -> bool:
    if result.reason not in (Reason.CORRECT, Reason.WRONG):
        return False
    from rewards.extraction.extract import boxed_answer

    answer = boxed_answer(row["prediction"]) or row["prediction"]
    opinion = second_opinion(gold=row["gold"], answer=answer)
    return opinion is not None and opinion != bool(result.score)


def _write(path: Path, rows: Sequence[Mapping[str, Any]], results: Sequence[Result]) -> None:
    with path.open("w", encoding="utf-8") as out:
        for row, result in zip(rows, results, strict=True):
            graded = {"score": result.score, "reason": str(result.reason), "seconds": result.seconds}
            out.write(json.dumps({**row, **graded}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
