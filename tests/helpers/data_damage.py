"""Damage to data files, drawn by a seed: bytes, containers, rows and values of mixed types.

A file may be refused, or read: a damaged byte may lie in the text of a problem. No other exception may come.
"""

import csv
import gzip
import io
import json
import os
import random
from pathlib import Path

import pyarrow
import pyarrow.parquet

from tests.helpers.model_damage import odd_path

NAMES = ("problem", "gold", "response", "id", "label", "extra_info", "prompt", "reward_model", "messages", "level")
DEEP = "[" * 900 + "]" * 900
VALUES = (
    *(None, True, False, 0, -1, 1.5, 10**30, float("nan"), float("inf"), "", " ", "nan", "\ud800", "a\x00b", "\u202e1"),
    *([], {}, [None], [[]], {"a": None}, ["1", "2"], {"content": 7}, [{"role": "user"}], [{"role": 7, "content": "x"}]),
    *("x" * 200_000, "\\boxed{", "#### ", "\n", "{{problem}}", {"ground_truth": []}, {"ground_truth": {"x": 1}}),
    [{"role": "user", "content": None}, {"role": "assistant", "content": [7]}],
)
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".arrow", ".jsonl.gz", ".tsv")


def good_rows(draw, count=None):
    return [
        {"id": f"p{number}", "problem": f"{number}+1?", "gold": str(number + 1), "response": f"\\boxed{{{number + 1}}}"}
        for number in range(count or draw.randrange(1, 30))
    ]


def container(rows, suffix: str) -> bytes:
    """Rows as the bytes of a file. Arrow takes one type a column, so that values become text there."""
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if suffix == ".jsonl":
        return lines
    if suffix == ".json":
        return json.dumps(rows).encode()
    if suffix == ".jsonl.gz":
        return gzip.compress(lines, mtime=0)
    names = sorted({name for row in rows for name in row})
    if suffix in (".csv", ".tsv"):
        text = io.StringIO()
        writer = csv.DictWriter(text, names, delimiter="\t" if suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode(errors="surrogatepass")
    table = pyarrow.table({name: [_plain(row.get(name)) for row in rows] for name in names})
    sink = io.BytesIO()
    if suffix == ".parquet":
        pyarrow.parquet.write_table(table, sink)
    else:
        with pyarrow.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)
    return sink.getvalue()


def _plain(value) -> str | None:
    return None if value is None else str(value).encode(errors="replace").decode()


def write(folder: Path, draw, rows, suffix=None) -> Path:
    suffix = suffix or draw.choice(SUFFIXES)
    path = folder / f"data{suffix}"
    path.write_bytes(container(rows, suffix))
    return path


def mixed_values(folder, draw):
    """Some values of some rows are of other types."""
    rows = good_rows(draw)
    for _ in range(draw.randrange(1, 6)):
        draw.choice(rows)[draw.choice(NAMES)] = draw.choice(VALUES)
    return write(folder, draw, rows)


def fields_missing(folder, draw):
    rows = good_rows(draw)
    for row in draw.sample(rows, draw.randrange(1, len(rows) + 1)):
        row.pop(draw.choice(["problem", "gold", "response"]), None)
    return write(folder, draw, rows)


def whole_column(folder, draw):
    """All values of a column are the same odd value."""
    name, value = draw.choice(NAMES), draw.choice(VALUES)
    return write(folder, draw, [row | {name: value} for row in good_rows(draw)])


def bytes_changed(folder, draw):
    path = write(folder, draw, good_rows(draw))
    data = bytearray(path.read_bytes())
    for _ in range(draw.choice([1, 1, 3, 50])):
        data[draw.randrange(len(data))] = draw.randrange(256)
    path.write_bytes(data)
    return path


def cut(folder, draw):
    path = write(folder, draw, good_rows(draw))
    os.truncate(path, draw.randrange(path.stat().st_size))
    return path


def stuffed(folder, draw):
    """Bytes that are put in at some place."""
    path = write(folder, draw, good_rows(draw))
    data, stuff = (
        path.read_bytes(),
        draw.choice([b"\0" * 64, b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b'"', b"{}"]),
    )
    at = draw.choice([0, len(data), draw.randrange(len(data))])
    path.write_bytes(data[:at] + stuff + data[at:])
    return path


def other_encoding(folder, draw):
    path = write(folder, draw, good_rows(draw), draw.choice([".jsonl", ".json", ".csv"]))
    path.write_bytes(path.read_bytes().decode().encode(draw.choice(["utf-16", "utf-32", "cp037", "utf-8-sig"])))
    return path


def other_suffix(folder, draw):
    """The container of another suffix."""
    path = write(folder, draw, good_rows(draw))
    other = folder / f"data{draw.choice([*SUFFIXES, '.txt', '', '.zip', '.JSONL', '.jsonl.zst', '.xz'])}"
    path.rename(other)
    return other


def odd_lines(folder, draw):
    """Lines of JSON that are no rows, or rows that few writers make."""
    good = [json.dumps(row) for row in good_rows(draw)]
    odd = [
        *("[1]", "null", "7", '"x"', "{", "}", "", " ", "NaN", "{'problem': 1}", '{"problem":"a","problem":"b"}', DEEP),
        *('{"problem":"a","gold":Infinity}', '{"problem":"a","gold":' + "1" * 5000 + "}", '{"problem":"\\ud800"}'),
        *('{"problem":"a\tb","gold":"1"}', '{"problem":"a","gold":"1"},', '{"problem":"a","gold":' + DEEP + "}"),
        *('{"problem":"a","gold":"1"}{"problem":"b","gold":"2"}', "x" * 300_000, '{"":""}', "// remark"),
    ]
    for _ in range(draw.randrange(1, 4)):
        good.insert(draw.randrange(len(good) + 1), draw.choice(odd))
    (path := folder / "data.jsonl").write_text("\n".join(good) + draw.choice(["", "\n", "\r\n"]))
    return path


def in_place_of_a_file(folder, draw):
    path = folder / f"data{draw.choice(SUFFIXES)}"
    odd_path(path, draw)
    return path


def odd_folder(folder, draw):
    """A folder of files, some of which are no data."""
    (inner := folder / "data").mkdir()
    for number in range(draw.randrange(3)):
        write(inner, draw, good_rows(draw)).rename(inner / f"{number}.{draw.choice(['jsonl', 'json', 'csv', 'md'])}")
    if draw.random() < 0.5:
        odd_path(inner / draw.choice(["x.jsonl", "y.parquet", "dataset_info.json", "state.json"]), draw)
    return inner


def odd_table(folder, draw):
    """Parquet or Arrow columns of other types than text."""
    kinds = {
        "numbers": pyarrow.array([1, None, 3]),
        "fractions": pyarrow.array([float("nan"), 1.5, None]),
        "bytes": pyarrow.array([b"\xff\xfe", b"a", None]),
        "lists": pyarrow.array([[1], [], None]),
        "structs": pyarrow.array([{"a": 1}, {"a": None}, None]),
        "times": pyarrow.array([0, 1, None], pyarrow.timestamp("s")),
        "nothing": pyarrow.nulls(3),
        "words": pyarrow.array(["a", "b", "a"]).dictionary_encode(),
        "decimals": pyarrow.array([1, 2, None], pyarrow.int64()).cast(pyarrow.decimal128(22, 2)),
        "durations": pyarrow.array([0, 1, None], pyarrow.duration("s")),
    }
    table = pyarrow.table({name: kinds[draw.choice(list(kinds))] for name in ("problem", "gold", "response")})
    path = folder / f"data{draw.choice(['.parquet', '.arrow'])}"
    sink = pyarrow.BufferOutputStream()
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table.slice(0, draw.randrange(4)), path)
    else:
        with pyarrow.ipc.new_stream(sink, table.schema) as file:
            file.write_table(table)
        path.write_bytes(sink.getvalue())
    return path


KINDS = (
    *(mixed_values, fields_missing, whole_column, bytes_changed, cut, stuffed, other_encoding, other_suffix),
    *(odd_lines, in_place_of_a_file, odd_folder, odd_table),
)


def damaged(folder: Path, number: int, seed: int) -> tuple[str, Path]:
    """Make the ``number``-th damaged file in ``folder``. Returns the kind and the path."""
    kind = KINDS[number % len(KINDS)]
    return kind.__name__, kind(folder, random.Random(f"{seed} {number}"))
