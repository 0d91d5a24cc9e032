"""JSON lines: the one reader of the project. ``data.jsonl`` has the writer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rewards.errors import InputError

Row = dict[str, Any]


def parse_lines(lines: Iterable[str], path: Path, torn_last_line: bool = False) -> Iterator[Row]:
    """Objects of a stream of lines, one object a line. Empty lines are passed over.

    Lines end at a line feed alone, because texts may hold other line ends such as U+2028.
    ``torn_last_line`` passes over a last line that a crash cut short.

    Raises:
        InputError: a line is broken JSON or holds no object. The error names the line.
    """
    fault: InputError | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if fault:
            raise fault
        try:
            yield _parse_object(line, path, number)
        except InputError as error:
            if not torn_last_line:
                raise
            # Whether the broken line is the last shows only when the next line comes.
            fault = error


def read_jsonl(path: str | Path, torn_last_line: bool = False) -> Iterator[Row]:
    """Objects of a JSONL file in UTF-8, read as a stream. A byte order mark is passed over.

    Raises:
        InputError: as ``parse_lines``, or the file is not UTF-8.
    """
    path = Path(path)
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        try:
            yield from parse_lines(file, path, torn_last_line)
        except UnicodeDecodeError as error:
            raise not_utf8(path, error) from error


def broken_json(error: ValueError | RecursionError) -> str:
    """Why ``json.loads`` refused a text. Numbers of more than 4,300 digits are no ``JSONDecodeError``."""
    return f"broken JSON ({error.msg if isinstance(error, json.JSONDecodeError) else str(error).partition(':')[0]})"


def not_utf8(path: Path, error: UnicodeDecodeError) -> InputError:
    return InputError(f"not UTF-8 (byte {error.start} of a block)", "convert the file to UTF-8", file=path)


def _parse_object(line: str, path: Path, number: int) -> Row:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(broken_json(error), "mend or remove the row", file=path, row=number) from error
    if not isinstance(value, dict):
        problem = f"a {type(value).__name__}, not an object"
        raise InputError(problem, "write {...} rows", file=path, row=number)
    return value
