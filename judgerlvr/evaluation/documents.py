"""A page of headings, lines and tables, as Markdown, and as HTML without scripts or outside references."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgerlvr.evaluation.run import without_nan
from rewards.errors import InputError

SUFFIXES = (".md", ".html", ".json")

STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:75em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}th,td{border:1px solid #bbb;padding:.25em .6em;text-align:right}"
    "th:first-child,td:first-child{text-align:left}"
)


@dataclass(frozen=True)
class Block:
    """A heading, a line of text, or a table. ``rows`` start with the head of the table."""

    heading: str = ""
    line: str = ""
    rows: Sequence[Sequence[str]] = ()


def to_markdown(blocks: Sequence[Block]) -> str:
    return "\n\n".join(_markdown(block) for block in blocks)


def _markdown(block: Block) -> str:
    if block.rows:
        # In Markdown a bar or a line break inside a cell ends the cell.
        head, *rows = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in block.rows]
        rule = ["---", *["---:"] * (len(head) - 1)]
        return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])
    return f"## {block.heading}" if block.heading else block.line


def to_html(blocks: Sequence[Block], title: str) -> str:
    body = "\n".join(_html(block) for block in blocks)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f"<!doctype html>\n<html><head>{head}</head><body>\n{body}\n</body></html>"


def _html(block: Block) -> str:
    if block.rows:
        head, *rows = block.rows
        lines = [_row(head, "th"), *(_row(row, "td") for row in rows)]
        return "<table>\n" + "\n".join(lines) + "\n</table>"
    return f"<h2>{html.escape(block.heading)}</h2>" if block.heading else f"<p>{html.escape(block.line)}</p>"


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def check_files(paths: Sequence[Path]) -> None:
    """Raise InputError unless each file has a known format and does not exist yet."""
    for path in paths:
        if path.suffix not in SUFFIXES:
            remedy = f"end the name in {', '.join(SUFFIXES)}"
            raise InputError(f"no format is called {path.suffix!r}", remedy, file=path)
        check_new_file(path)


def check_new_file(path: Path) -> None:
    """Raise InputError if the file exists."""
    if path.exists():
        raise InputError("this file exists", "remove it, or give another --out", file=path)


def write_files(paths: Sequence[Path], blocks: Sequence[Block], content: Mapping[str, Any], title: str) -> None:
    """Write each path in the format that its suffix names. A ``.json`` file gets ``content``, the others the page."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_text(path.suffix, blocks, content, title) + "\n", encoding="utf-8")
        print(f"written: {path}")


def _text(suffix: str, blocks: Sequence[Block], content: Mapping[str, Any], title: str) -> str:
    if suffix == ".json":
        return json.dumps(without_nan(content), indent=1, ensure_ascii=False, allow_nan=False)
    return to_html(blocks, title) if suffix == ".html" else to_markdown(blocks)
