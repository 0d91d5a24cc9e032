"""JSON lines: the one writer of the project, beside the one reader, which lies in ``rewards.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data.replacing import replacing
from rewards.jsonl import Row as Row
from rewards.jsonl import broken_json as broken_json
from rewards.jsonl import not_utf8 as not_utf8
from rewards.jsonl import parse_lines as parse_lines
from rewards.jsonl import read_jsonl as read_jsonl


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line. The file appears whole or not at all, and its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(dump_line(row) for row in rows)


def dump_line(row: Mapping[str, Any]) -> str:
    """One object as a line with its line feed."""
    return json.dumps(row, ensure_ascii=False) + "\n"
