"""Settings that differ: keys of the configurations between runs, and settings of the evaluations between arms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import Enum
from typing import Any

from judgerlvr.config.load import flat
from judgerlvr.reporting.arms import Arm
from judgerlvr.reporting.parts import Cell, Note, Table
from judgerlvr.reporting.runs import Run
from judgerlvr.runs.comparison import PLACES, UNREAD

NOT_READ = Cell("not read", tone="absent")
RUN_NOTE = "All keys whose value differs between two runs that read the key. Name and place of a run are left out."


def settings_parts(arms: Sequence[Arm], runs: Sequence[Run]) -> Iterator[Table | Note]:
    """Both tables, with a note where nothing differs and where a configuration cannot be read."""
    for run in runs:
        if run.config_problem:
            yield Note(f"{run.name}: the configuration cannot be read ({run.config_problem})", stamp=True)
    configs = {run.name: read_keys(run) for run in runs if run.config}
    yield from _table("Configuration keys that differ between runs", "key", configs, RUN_NOTE)
    evaluations = {f"{arm.name} ({arm.run.name})": dict(flat(arm.measured.settings)) for arm in arms}
    yield from _table("Evaluation settings that differ between arms", "setting", evaluations, "")


def read_keys(run: Run) -> dict[str, Any]:
    """Values of the keys that the run's stage reads, by dotted name."""
    unread = next((names for stage, names in UNREAD.items() if stage == run.stage), ())
    values = flat(asdict(run.config)) if run.config else ()
    return {name: value for name, value in values if name not in PLACES and not name.startswith(unread)}


def _table(title: str, what: str, columns: Mapping[str, Mapping[str, Any]], note: str) -> Iterator[Table | Note]:
    if len(columns) < 2:
        return
    names = differing(list(columns.values()))
    rows = [[Cell(name), *(_cell(name, values) for values in columns.values())] for name in names]
    yield Table(title, (what, *columns), rows, note) if rows else Note(f"{title}: none.")


def differing(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names with more than one value, in the order of their first place."""
    names = dict.fromkeys(name for values in columns for name in values)
    return [name for name in names if len({repr(values[name]) for values in columns if name in values}) > 1]


def _cell(name: str, values: Mapping[str, Any]) -> Cell:
    if name not in values:
        return NOT_READ
    value = values[name]
    return Cell(str(value.value if isinstance(value, Enum) else value))
