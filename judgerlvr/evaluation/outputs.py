"""The output folder of an evaluation, read back: the summary, the records, and the records of each set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from data.typed_rows import field_fault, field_types
from judgerlvr.evaluation.records import Record, read_records
from judgerlvr.sampling.decoding import Decoding
from rewards.errors import InputError, reading

SUMMARY, SAMPLES = "summary.json", "samples.jsonl"
REMEDY = "give the output folder of judgerlvr.evaluate"


class SetKey(NamedTuple):
    """What numbers of a set belong together by."""

    set: str
    kind: str
    greedy: bool


@dataclass(frozen=True)
class Group:
    """The records of one set, kind and decoding, with the settings that they came from."""

    key: SetKey
    records: list[Record]
    decoding: Decoding
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Output:
    """One evaluation. ``name`` is the model's path, or the folder where the responses were given."""

    folder: Path
    name: str
    summary: Mapping[str, Any]
    records: list[Record]

    def groups(self) -> list[Group]:
        """The sets of the evaluation in order.

        Raises:
            InputError: the summary lacks the decoding of a set.
        """
        records: dict[SetKey, list[Record]] = {}
        for record in self.records:
            key = SetKey(record.set, record.kind, record.decoding == "greedy")
            records.setdefault(key, []).append(record)
        found = decodings(self.summary, self.folder / SUMMARY)
        for key in records:
            if key not in found:
                problem = f"no row for {key.kind} set {key.set}"
                raise InputError(problem, "evaluate again", file=self.folder / SUMMARY, field="results")
        return [Group(key, rows, found[key], self.settings_of(key)) for key, rows in records.items()]

    def settings_of(self, key: SetKey) -> dict[str, Any]:
        """The settings of a set, with the engine's arguments. A benchmark has a verifier for each task."""
        with reading("not the summary of an evaluation", REMEDY, file=self.folder / SUMMARY, field="settings"):
            task = self.summary.get("tasks", {}).get(key.set)
            settings = {**self.summary["settings"], "engine": dict(self.summary.get("engine", {}))}
            return settings | ({"verifier": task["scorer"]} if task else {})


def decodings(summary: Mapping[str, Any], file: Path) -> dict[SetKey, Decoding]:
    """The decoding of each set.

    Raises:
        InputError: a row of ``results`` is not one that an evaluation writes.
    """
    found, types = {}, field_types(Decoding)
    with reading("not the summary of an evaluation", REMEDY, file=file, field="results"):
        for row in summary["results"]:
            values = {name: row["decoding"][name] for name in types}
            if wrong := field_fault(values, types):
                raise TypeError(f"{wrong[0]} is {values[wrong[0]]!r}")
            decoding = Decoding(**values)
            found[SetKey(row["set"], row["kind"], decoding.name == "greedy")] = decoding
    return found


def _remedy(folder: Path) -> str:
    """What to give. The evaluations of a run lie in folders of their own, and the line names these folders."""
    inside = sorted(str(path.parent) for path in folder.glob(f"eval/*/{SUMMARY}"))
    return f"give one evaluation of the run: {' or '.join(inside)}" if inside else REMEDY


def read_output(folder: Path) -> Output:
    """Read ``summary.json`` and ``samples.jsonl`` of a folder.

    Raises:
        InputError: a file is missing or damaged, or there are no records.
    """
    for name in (SUMMARY, SAMPLES):
        if not (folder / name).is_file():
            raise InputError(f"no {name} here", _remedy(folder), file=folder)
    with reading("not JSON", "evaluate again", file=folder / SUMMARY):
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    if not isinstance(summary, dict):
        raise InputError("not the summary of an evaluation", REMEDY, file=folder / SUMMARY)
    records = read_records(folder / SAMPLES)
    if not records:
        raise InputError("no sample in it", "evaluate again", file=folder / SAMPLES)
    with reading("not the summary of an evaluation", REMEDY, file=folder / SUMMARY, field="model"):
        name = str(summary["model"]["path"]) if summary["model"] else str(folder)
    return Output(folder, name, summary, records)
