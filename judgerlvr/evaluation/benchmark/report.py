"""What a benchmark leaves: samples and numbers of each model, and the report in three formats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from judgerlvr.evaluation.benchmark.graders import EXTRACTION
from judgerlvr.evaluation.benchmark.overlaps import Found
from judgerlvr.evaluation.benchmark.run import Model
from judgerlvr.evaluation.benchmark.suite import Entry
from judgerlvr.evaluation.benchmark.table import to_html, to_markdown
from judgerlvr.evaluation.outputs import SAMPLES, SUMMARY
from judgerlvr.evaluation.records import Record, write_records
from judgerlvr.evaluation.run import without_nan
from judgerlvr.evaluation.tasks.files import TaskData
from judgerlvr.runs.files import write_atomically

FILES = MARKDOWN, HTML, JSON = "benchmark.md", "benchmark.html", "benchmark.json"


def describe_task(entry: Entry, data: TaskData | None, not_run: str) -> dict[str, Any]:
    """A task's facts as plain data. ``not_run`` is the reason, or empty."""
    task, source = entry.task, entry.task.source
    revision = f"@{source.revision[:12]}" if source.revision else ""
    place = str(entry.file) if entry.file else f"{source.repository}{revision}"
    scorer = task.verifier if task.scorer == "verifier" else task.scorer
    return {
        "name": task.name,
        "title": task.title,
        "domain": task.domain,
        "source": place,
        "revision": data.revision if data else "",
        "sha256": data.sha256 if data else "",
        "licence": task.licence,
        "gated": task.gated,
        "rows": data.rows if data else None,
        "problems": len(data.problems) if data else None,
        "repeated": data.repeated if data else None,
        "unverified": _unverified(entry),
        "prompt": task.prompt,
        "n": task.n,
        "scorer": scorer,
        "note": task.note,
        "not_run": not_run,
    }


def _unverified(entry: Entry) -> list[str]:
    """Facts that nobody verified. A hash that the user pins counts as verified."""
    if entry.own:
        return ["a set of yours"]
    return [name for name in entry.task.missing_facts if not (name == "sha256" and entry.sha256)]


def describe_model(model: Model, trained: Sequence[Found]) -> dict[str, Any]:
    facts = {"label": model.label, "path": str(model.path), "hash": model.hash, "context": model.context}
    return facts | {"trained": [asdict(found) for found in trained]}


def write_model(
    folder: Path, model: Model, records: Sequence[Record], rows: Sequence[Mapping[str, Any]], report: Mapping[str, Any]
) -> None:
    """``samples.jsonl`` and ``summary.json`` of one model, in the layout of ``judgerlvr.evaluate``."""
    place = folder / model.label
    write_records(place / SAMPLES, records)
    run = [task for task in report["tasks"] if not task["not_run"]]
    summary = {
        "model": {"path": str(model.path), "hash": model.hash},
        "data": [
            {"file": task["source"], "sha256": task["sha256"], "rows": task["rows"], "used": task["problems"]}
            for task in run
        ],
        "limit": report["settings"]["limit"],
        "context": model.context,
        "engine": report["settings"]["engine"],
        "settings": report["settings"] | {"extraction": EXTRACTION},
        "tasks": {task["name"]: {name: task[name] for name in ("prompt", "scorer", "n")} for task in run},
        "generated_tokens": sum(record.tokens or 0 for record in records),
        "results": [{name: value for name, value in row.items() if name != "model"} for row in rows],
    }
    write_atomically(place / SUMMARY, _json(summary))


def write_report(folder: Path, report: Mapping[str, Any]) -> list[Path]:
    """The report as Markdown, HTML and JSON. Returns the three paths."""
    plain = without_nan(report)
    texts = {MARKDOWN: to_markdown(plain), HTML: to_html(plain), JSON: _json(plain)}
    for name, text in texts.items():
        write_atomically(folder / name, text)
    return [folder / name for name in texts]


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(without_nan(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
