"""The data card of a judge set: what was kept at each step, what is in the files, how far a shortcut would get."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Cells = Sequence[Any]


@dataclass(frozen=True)
class Table:
    """One table of the card: a title, the names of the columns, the rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Cells]
    note: str = ""


@dataclass(frozen=True)
class Card:
    """Counts in the order of the pipeline, then figures of the rows in the files, then the settings.

    ``splits`` counts right and wrong rows and problems of each file. ``difficulty`` are histograms over ten bins of
    the pass rate. ``label_agreement`` is None where the files give no labels.
    """

    counts: Mapping[str, int]
    dropped: Mapping[str, int]
    label_agreement: float | None
    disagreements: Sequence[str]
    splits: Mapping[str, Mapping[str, int]]
    characters: Mapping[str, Mapping[str, float]]
    difficulty: Mapping[str, Sequence[int]]
    baselines: Mapping[str, float]
    second_grader: Mapping[str, Any]
    majority: Mapping[str, Any]
    near_duplicates: Mapping[str, int]
    models: Mapping[str, Mapping[str, int]]
    sources: Mapping[str, Mapping[str, int]]
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The card as plain values. A figure that does not exist is null."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        return plain

    def tables(self) -> Iterator[Table]:
        """The card table by table."""
        agreement = "no labels given" if self.label_agreement is None else f"{self.label_agreement:.4f}"
        denied = f"First denied: {', '.join(self.disagreements)}." if self.disagreements else ""
        yield Table("Steps", ("step", "count"), list(self.counts.items()))
        yield Table("Set aside", ("reason", "candidates"), list(self.dropped.items()))
        yield _grid("Files", self.splits, "file")
        yield _grid("Characters shown", self.characters, "class")
        bins = [f"{place / 10:.1f}" for place in range(10)]
        rows = [(name, *values) for name, values in self.difficulty.items()]
        yield Table("Problems by pass rate", ("from", *bins), rows)
        shortcuts = [(name, f"{value:.3f}") for name, value in self.baselines.items()]
        yield Table("Judging without reading", ("baseline", "balanced accuracy"), shortcuts, "Near 0.5 is good.")
        noise: list[Cells] = [("given labels that the verifier confirms", agreement)]
        noise += [(f"second grader: {name}", value) for name, value in self.second_grader.items() if name != "examples"]
        noise += [(f"majority answer: {name}", value) for name, value in self.majority.items() if name != "examples"]
        shown = [*self.second_grader.get("examples", ()), *self.majority.get("examples", ())]
        note = " ".join([denied, f"Look at: {'; '.join(shown)}." if shown else ""]).strip()
        yield Table("Label noise", ("check", "value"), noise, note)
        yield Table("Near-duplicates", ("what", "count"), list(self.near_duplicates.items()))
        yield _grid("Models", self.models, "model")
        yield _grid("Sources", self.sources, "source and licence")
        yield Table("Settings", ("setting", "value"), list(self.settings.items()))

    def to_markdown(self) -> str:
        return "\n\n".join(["# Judge set", *map(_markdown, self.tables())]) + "\n"

    def to_html(self) -> str:
        """One page without scripts or outside references."""
        body = "\n".join(map(_html, self.tables()))
        style = "body{font:15px sans-serif;max-width:60em;margin:2em auto}td,th{padding:2px 12px;text-align:left}"
        head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Judge set</title><style>{style}</style>'
        return f"{head}<h1>Judge set</h1>\n{body}\n</html>\n"

    def write(self, folder: Path) -> None:
        """``card.json``, ``card.md`` and ``card.html`` in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "card.md").write_text(self.to_markdown(), encoding="utf-8")
        (folder / "card.html").write_text(self.to_html(), encoding="utf-8")
        # NaN is no JSON, so a nan that slipped through must fail here and not at a reader.
        (folder / "card.json").write_text(json.dumps(self.to_json(), indent=2, allow_nan=False), encoding="utf-8")


def _grid(title: str, rows: Mapping[str, Mapping[str, Any]], first: str) -> Table:
    names = list(next(iter(rows.values()), {}))
    return Table(title, (first, *names), [(key, *(row.get(name, "") for name in names)) for key, row in rows.items()])


def _cell(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _markdown(table: Table) -> str:
    lines = [f"## {table.title}", "", f"| {' | '.join(table.columns)} |", f"|{' --- |' * len(table.columns)}"]
    for row in table.rows:
        # In Markdown a bar or a line break inside a cell ends the cell.
        cells = [" ".join(_cell(cell).replace("|", r"\|").split()) for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *(["", table.note] if table.note else [])])


def _html(table: Table) -> str:
    def line(cells: Cells, tag: str) -> str:
        # Names of models and sources come from data files and may hold markup.
        return "<tr>" + "".join(f"<{tag}>{html.escape(_cell(cell))}</{tag}>" for cell in cells) + "</tr>"

    rows = "".join(line(row, "td") for row in table.rows)
    note = f"<p>{html.escape(table.note)}</p>" if table.note else ""
    return f"<h2>{html.escape(table.title)}</h2>\n<table>{line(table.columns, 'th')}{rows}</table>{note}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
