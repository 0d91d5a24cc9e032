"""The report of a benchmark as tables, in Markdown and HTML. No item of a benchmark is printed."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from data.card import Table
from judgerlvr.evaluation.benchmark.rows import CUT_SHARE, mean_tokens
from judgerlvr.evaluation.table import MISSING, interval, number

Report = Mapping[str, Any]
NOT_RUN = "not run"
HEADING = "Benchmark"
CLAIM = "Prompts and n are ours. No row is a number of the paper."
_STYLE = (
    "body{font:15px sans-serif;max-width:75em;margin:2em auto}"
    "td,th{padding:2px 10px;text-align:left;vertical-align:top}pre{background:#eee;padding:6px}"
)


def tables(report: Report) -> Iterator[Table]:
    """All tables of a report in order. A table without rows is left out."""
    for make in (_results, _averages, _differences, _reasons, _overlaps, _shared, _data, _models, _settings):
        table = make(report)
        if table.rows:
            yield table


def _results(report: Report) -> Table:
    columns = (
        "task",
        "domain",
        "model",
        "decoding",
        "problems",
        "n",
        "accuracy",
        "mean tokens",
        "cut",
        "uncut accuracy",
    )
    rows: list[Sequence[str]] = []
    for task in report["tasks"]:
        name = (task["title"], task["domain"])
        if task["not_run"]:
            rows.append((*name, NOT_RUN, *[MISSING] * 7))
        rows += [(*name, *_result(row)) for row in report["rows"] if row["set"] == task["name"]]
    note = (
        f"Accuracy is mean@n with a 95 % interval. A row with more than {CUT_SHARE:.0%} cut is marked with !. {CLAIM}"
    )
    return Table("Results", columns, rows, note)


def _result(row: Mapping[str, Any]) -> tuple[str, ...]:
    cut = f"{row['cut_share']:.1%}" + (" !" if row["marked"] else "")
    return (
        row["model"],
        row["decoding"]["name"],
        str(row["problems"]),
        str(row["decoding"]["n"]),
        interval(row["accuracy"]),
        number(mean_tokens(row), 1),
        cut,
        number(row["uncut_accuracy"]) if row["marked"] else MISSING,
    )


def _averages(report: Report) -> Table:
    rows = [
        (row["model"], row["decoding"], row["domain"], f"{row['tasks']} of {row['of']}", *_means(row))
        for row in report["averages"]
    ]
    note = "Every task has the same weight. Averages over different tasks cannot be compared."
    return Table("Averages", ("model", "decoding", "domain", "tasks run", "accuracy", "mean tokens"), rows, note)


def _means(row: Mapping[str, Any]) -> tuple[str, str]:
    return number(row["accuracy"]), number(row["tokens"], 1)


def _differences(report: Report) -> Table:
    rows = [
        (row["set"], row["decoding"], f"{row['model']} - {row['base']}", *_changes(row))
        for row in report["differences"]
    ]
    note = "Differences of the means above, without intervals."
    return Table("Differences", ("task", "decoding", "models", "accuracy", "mean tokens", "tokens"), rows, note)


def _changes(row: Mapping[str, Any]) -> tuple[str, str, str]:
    ratio = row["tokens_ratio"]
    share = MISSING if ratio is None else f"{ratio - 1:+.1%}"
    return _signed(row["accuracy"], 3), _signed(row["tokens"], 1), share


def _signed(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:+.{digits}f}"


def _reasons(report: Report) -> Table:
    rows = [
        (row["set"], row["model"], row["decoding"]["name"], _counts(row["reasons"]), _golds(row))
        for row in report["rows"]
    ]
    note = "No right answer in another spelling matches a gold that is never matched."
    return Table("Reasons", ("task", "model", "decoding", "samples by reason", "golds never matched"), rows, note)


def _golds(row: Mapping[str, Any]) -> str:
    return MISSING if row["golds_never_matched"] is None else str(row["golds_never_matched"])


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _overlaps(report: Report) -> Table:
    rows = [
        (model["label"], row["where"], row["task"], _count(row))
        for model in report["models"]
        for row in model["trained"]
    ]
    note = (
        "Problems of a task that occur in the training set of a run behind the model, by 5-grams of normalised tokens."
    )
    return Table("Overlaps with training", ("model", "run", "task", "problems"), rows, note)


def _count(row: Mapping[str, Any]) -> str:
    return "not known" if row["count"] is None else f"{row['count']} of {row['of']}"


def _shared(report: Report) -> Table:
    rows = [(row["task"], row["where"], _count(row)) for row in report["shared"]]
    return Table("Overlaps between tasks", ("task", "in task", "problems"), rows)


def _data(report: Report) -> Table:
    rows = []
    for task in report["tasks"]:
        used = MISSING if task["not_run"] else f"{task['problems']} of {task['rows']} rows, {task['repeated']} repeated"
        unverified = ", ".join(task["unverified"])
        facts = f"not verified: {unverified}" if unverified else "verified"
        place = (task["title"], task["source"], task["sha256"][:12] or MISSING, task["licence"])
        rows.append((*place, used, facts, task["not_run"] or task["note"]))
    return Table("Data", ("task", "source", "SHA-256", "licence", "problems", "facts", "note"), rows)


def _models(report: Report) -> Table:
    rows = [(model["label"], model["path"], model["hash"][:12], str(model["context"])) for model in report["models"]]
    return Table("Models", ("model", "path", "SHA-256", "context"), rows)


def _settings(report: Report) -> Table:
    rows = [(name, str(value)) for name, value in report["settings"].items()]
    rows += [(f"prompt of {task['name']}", task["prompt"]) for task in report["tasks"]]
    rows += [(f"scorer of {task['name']}", task["scorer"]) for task in report["tasks"]]
    return Table("Settings", ("setting", "value"), rows)


def to_markdown(report: Report) -> str:
    return "\n\n".join([f"# {HEADING}", *map(_markdown, tables(report))]) + "\n"


def _markdown(table: Table) -> str:
    def line(cells: Sequence[Any]) -> str:
        texts = (str(cell).replace("|", "\\|").replace("\n", "<br>") for cell in cells)
        return f"| {' | '.join(texts)} |"

    lines = [line(table.columns), line(["---"] * len(table.columns)), *map(line, table.rows)]
    return "\n".join([f"## {table.title}", *([f"\n{table.note}"] if table.note else []), "", *lines])


def to_html(report: Report) -> str:
    """One page without scripts or outside references."""
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{HEADING}</title><style>{_STYLE}</style>'
    return f"{head}<h1>{HEADING}</h1>\n" + "\n".join(map(_html, tables(report))) + "\n</html>\n"


def _html(table: Table) -> str:
    def line(tag: str, cells: Sequence[Any], shown: Callable[[str], str] = html.escape) -> str:
        texts = (shown(str(cell)).replace("\n", "<br>") for cell in cells)
        return f"<tr>{''.join(f'<{tag}>{text}</{tag}>' for text in texts)}</tr>"

    rows = "\n".join(line("td", row) for row in table.rows)
    note = f"<p>{html.escape(table.note)}</p>" if table.note else ""
    return f"<h2>{html.escape(table.title)}</h2>{note}<table>{line('th', table.columns)}\n{rows}</table>"
