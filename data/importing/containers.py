"""Rows of every kind of file, as a stream. Each row comes with its file and number, which complaints name."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data.importing.sources import container_kind
from data.jsonl import Row, broken_json, not_utf8, parse_lines
from rewards.errors import InputError, reading

BATCH = 1024
AGAIN = "write the file again"
# Keys under which a JSON object may hold its list of rows.
ROW_LISTS = ("data", "rows", "examples", "problems", "instances")


class Located(NamedTuple):
    """A row with the place where a person finds the row. ``number`` counts from 1 in its file."""

    row: Row
    file: Path
    number: int


def iter_file(path: Path) -> Iterator[Located]:
    """Rows of one file.

    Raises:
        InputError: the file is broken, is not UTF-8, or is of an unknown kind.
    """
    kind, packing = container_kind(path)
    readers = {".parquet": _parquet, ".arrow": _arrow}
    rows = readers[kind](path) if kind in readers else _text_rows(path, kind, packing)
    for number, row in enumerate(rows, start=1):
        yield Located(row, path, number)


def _text_rows(path: Path, kind: str, packing: str) -> Iterator[Row]:
    readers: dict[str, Callable[..., Iterator[Row]]] = {
        ".jsonl": parse_lines,
        ".json": _json,
        ".csv": _csv,
        ".tsv": _tsv,
    }
    with _open_text(path, packing) as file:
        try:
            yield from readers[kind](file, path)
        except UnicodeDecodeError as error:
            raise not_utf8(path, error) from error
        except (OSError, EOFError) as error:
            raise InputError(f"cannot be unpacked ({error})", "download or pack the file again", file=path) from error


def _open_text(path: Path, packing: str) -> io.TextIOBase:
    if not packing:
        return path.open(encoding="utf-8-sig", newline="")
    import pyarrow

    stream = pyarrow.input_stream(str(path), compression={".gz": "gzip", ".zst": "zstd"}[packing])
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def _json(file: io.TextIOBase, path: Path) -> Iterator[Row]:
    """A list of objects, an object with such a list, an object of columns, or JSON lines under the wrong ending."""
    text = file.read()
    if not text.strip():
        return
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        # JSON lines under the ending .json fail as extra data after the first object.
        if not isinstance(error, json.JSONDecodeError) or error.msg != "Extra data":
            raise InputError(broken_json(error), "mend or remove it", file=path) from error
        # A line feed alone ends a line, because texts may hold other line ends.
        yield from parse_lines(io.StringIO(text, newline="\n"), path)
        return
    rows = _row_list(tree, path)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            problem = f"a {type(row).__name__}, not an object"
            raise InputError(problem, "write {...} rows", file=path, row=number)
        yield row


def _row_list(tree: Any, path: Path) -> list[Any]:
    if isinstance(tree, list):
        return tree
    if not isinstance(tree, dict):
        raise InputError("neither a list of rows nor columns", "write a list of objects", file=path)
    for name in ROW_LISTS:
        if isinstance(tree.get(name), list) and all(isinstance(row, dict) for row in tree[name]):
            return list(tree[name])
    if tree and all(isinstance(column, list) for column in tree.values()):
        if len({len(column) for column in tree.values()}) > 1:
            raise InputError("columns differ in length", "give columns of one length", file=path)
        return [dict(zip(tree, values, strict=True)) for values in zip(*tree.values(), strict=True)]
    # An object that holds text beside lists is a single row.
    if any(isinstance(value, str) for value in tree.values()):
        return [tree]
    raise InputError("neither a list of rows nor columns", "write a list of objects", file=path)


def _csv(file: io.TextIOBase, path: Path, delimiter: str = ",") -> Iterator[Row]:
    """Rows of a table with a header. Every value is text and an empty cell is an absent value."""
    # Python's csv refuses cells over 131,072 characters, and a cell may hold a longer text.
    csv.field_size_limit(sys.maxsize)
    # Without `strict` an unclosed quote takes in the rest of the file without an error.
    reader = csv.DictReader(file, delimiter=delimiter, strict=True)
    try:
        _refuse_repeats(reader.fieldnames or (), path)
        for number, cells in enumerate(reader, start=1):
            # DictReader keeps surplus cells under the key None.
            if None in cells:
                raise InputError("more cells than the header names", "quote the text", file=path, row=number)
            # DictReader gives None for the cells that a short row lacks.
            yield {name: value for name, value in cells.items() if value not in (None, "")}
    except csv.Error as error:
        raise InputError(f"broken CSV ({error})", AGAIN, file=path, row=reader.line_num) from error


def _refuse_repeats(names: Sequence[str], path: Path) -> None:
    """A row as a dictionary would keep the last of two columns with one name, without a word."""
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError("two columns have this name", "remove or rename one", file=path, field=", ".join(twice))


def _tsv(file: io.TextIOBase, path: Path) -> Iterator[Row]:
    return _csv(file, path, "\t")


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet

    # A damaged file raises further errors than pyarrow's, such as UnicodeDecodeError for a name that is no UTF-8.
    with reading("not parquet", AGAIN, file=path), pyarrow.parquet.ParquetFile(path) as file:
        _refuse_repeats(file.schema_arrow.names, path)
        for batch in file.iter_batches(batch_size=BATCH):
            batch.validate(full=True)
            yield from batch.to_pylist()


def _arrow(path: Path) -> Iterator[Row]:
    """Arrow's stream format, which the ``datasets`` library writes, or its file format."""
    import pyarrow
    import pyarrow.ipc

    with reading("not Arrow", AGAIN, file=path), pyarrow.OSFile(str(path)) as source:
        try:
            reader = pyarrow.ipc.open_stream(source)
            names, batches = reader.schema.names, iter(reader)
        except pyarrow.ArrowInvalid:
            # The failed try has moved the position past the first bytes.
            source.seek(0)
            file = pyarrow.ipc.open_file(source)
            names, batches = file.schema.names, (file.get_batch(index) for index in range(file.num_record_batches))
        _refuse_repeats(names, path)
        for batch in batches:
            # A damaged offset would lead beyond the batch, and a damaged text is no UTF-8.
            batch.validate(full=True)
            # A record batch may be of any size, and slices bound the rows held as Python objects.
            for start in range(0, batch.num_rows, BATCH):
                yield from batch.slice(start, BATCH).to_pylist()
