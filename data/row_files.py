"""Rows of JSONL, JSON and parquet files, with row numbers in every complaint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rewards.errors import InputError

Row = dict[str, Any]


def read_rows(path: str | Path) -> list[Row]:
    """All rows of a file; the ending decides how it is read.

    Raises:
        InputError: missing, empty, not UTF-8, broken or of an unknown kind; names file and row.
    """
    path = Path(path)
    readers = {".jsonl": _read_jsonl, ".json": _read_json, ".parquet": _read_parquet}
    if not path.is_file():
        raise InputError("no such file", "check the path", file=path)
    if path.suffix not in readers:
        raise InputError(f"unknown file type {path.suffix!r}", "use .jsonl, .json or .parquet", file=path)
    rows = readers[path.suffix](path)
    if not rows:
        raise InputError("file is empty", "give a file with at least one row", file=path)
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 (byte {error.start})", "convert the file to UTF-8", file=path) from error


def _read_jsonl(path: Path) -> list[Row]:
    lines = enumerate(_text(path).split("\n"), start=1)
    return [_object(_parse(line, path, number), path, number) for number, line in lines if line.strip()]


def _read_json(path: Path) -> list[Row]:
    """A list of objects, or one object of equally long columns."""
    tree = _parse(_text(path) or "[]", path, None)
    if isinstance(tree, dict) and tree and all(isinstance(column, list) for column in tree.values()):
        columns: list[list[Any]] = list(tree.values())
        if len({len(column) for column in columns}) > 1:
            raise InputError("columns differ in length", "give columns of one length", file=path)
        return [dict(zip(tree, values, strict=True)) for values in zip(*columns, strict=True)]
    if not isinstance(tree, list):
        raise InputError("neither a list of rows nor columns", "write a list of objects", file=path)
    return [_object(row, path, number) for number, row in enumerate(tree, start=1)]


def _read_parquet(path: Path) -> list[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"not parquet ({str(error).splitlines()[0]})", "write the file again", file=path) from error
    return rows


def _parse(text: str, path: Path, row: int | None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"broken JSON ({error.msg})", "mend or remove it", file=path, row=row) from error


def _object(value: Any, path: Path, row: int) -> Row:
    if not isinstance(value, dict):
        raise InputError(f"a {type(value).__name__}, not an object", "write {...} rows", file=path, row=row)
    return value
