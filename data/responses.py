"""Candidate solutions: read from files, or as they were just sampled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.identity import make_problem
from data.importing import layouts
from data.importing.faults import RowFault
from data.importing.options import BadRowList, ReadOptions
from data.importing.problem_rows import RowView, parse_problem_row
from data.importing.turns import is_conversation, read_conversation
from data.row_files import iter_rows
from rewards.types import Problem

# 1 and 0 are found under True and False.
LABELS = {True: True, False: False, "1": True, "0": False, "true": True, "false": False}
DEFAULT = ReadOptions()
# Where a row says what it came from.
SOURCE_COLUMNS = ("data_source", "source", "dataset")
LICENCE_COLUMNS = ("license", "licence")


@dataclass(frozen=True)
class Candidate:
    """One response to a problem. ``label`` is the file's own claim, None where the file makes no claim."""

    problem: Problem
    response: str
    label: bool | None = None
    model: str = ""
    finish_reason: str = "stop"
    source: str = ""


def read_responses(path: str | Path, options: ReadOptions = DEFAULT) -> list[Candidate]:
    """All candidates of a source. Raises as ``iter_responses``."""
    return list(iter_responses(path, options))


def iter_responses(
    path: str | Path, options: ReadOptions = DEFAULT, bad: BadRowList | None = None
) -> Iterator[Candidate]:
    """Candidates of a source: problem and gold as for problems, response, optionally label and model.

    Rows of one problem share its text, whatever their ids are. ``bad`` collects rows that cannot be used.

    Raises:
        InputError: rows cannot be used and ``bad_rows`` is "stop". All such rows are named, at the end.
    """
    bad = BadRowList() if bad is None else bad
    for row, file, number in iter_rows(path):
        try:
            yield parse_candidate(row, options, str(path))
        except RowFault as fault:
            bad.add(fault.at(file, number))
    if options.bad_rows == "stop":
        bad.raise_all()


def candidates_from_rows(
    rows: Iterable[Mapping[str, Any]], problems: Mapping[str, Problem] | None = None
) -> list[Candidate]:
    """Rows as the sampler gives them. ``problems`` by id lend all that a verifier needs beside the gold answer."""
    known = problems or {}
    return [
        Candidate(
            problem=known.get(row["problem_id"]) or make_problem(row["problem"], row["gold"]),
            response=row["response"],
            model=row["model"],
            finish_reason=row["finish_reason"],
        )
        for row in rows
    ]


def parse_candidate(row: Mapping[str, Any], options: ReadOptions = DEFAULT, source: str = "") -> Candidate:
    """One row as a candidate.

    Raises:
        RowFault: a missing or empty response, a label that is neither true nor false, or a faulty problem.
    """
    view = RowView.of(row, options.columns)
    # Columns that are taken before the problem is parsed stay out of the problem's meta.
    response = _response(view)
    label = _label(view)
    name = view.first(layouts.MODEL)
    model = str(view.take(name)) if name else ""
    finish = str(view.take("finish_reason")) if view.row.get("finish_reason") else "stop"
    problem = parse_problem_row(view, options.need_gold)
    return Candidate(problem, response, label, model, finish, _source(view, source))


def _response(view: RowView) -> str:
    name = view.first(layouts.RESPONSE)
    if name is None:
        chats = [chat for chat in (*layouts.CHAT, "prompt") if is_conversation(view.row.get(chat))]
        reply = read_conversation(view.row[chats[0]], chats[0]).reply if chats else ""
        if reply.strip():
            return reply
    value = view.take(name) if name else view.row.get("response")
    if not isinstance(value, str) or not value.strip():
        fault = "missing" if value is None else f"{type(value).__name__} or empty"
        raise RowFault(fault, "give the response's text", name or "response")
    return value


def _label(view: RowView) -> bool | None:
    # An empty label is a fault to be named, so only an absent label is passed over.
    name = next((name for name in layouts.LABEL if view.row.get(name) is not None), None)
    if name is None:
        return None
    value = view.take(name)
    value = value.lower() if isinstance(value, str) else value
    # A list has no hash, so looking for a list among the labels would raise.
    if isinstance(value, list | dict) or value not in LABELS:
        raise RowFault(f"label is {view.row[name]!r}", "write true or false", name)
    return LABELS[value]


def _source(view: RowView, source: str) -> str:
    """Where a row says that it is from, with its licence, else the file."""
    name = next((name for name in SOURCE_COLUMNS if isinstance(view.row.get(name), str)), None)
    licence = next((name for name in LICENCE_COLUMNS if isinstance(view.row.get(name), str)), None)
    named = view.row[name] if name else source
    return f"{named} ({view.row[licence]})" if licence else str(named)
