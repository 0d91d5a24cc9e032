"""Reports of the training workers about the engine, in the run folder, and the driver's check.

Where verl does not find our engine, verl silently takes its own.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from judgerlvr.engine.devices import REPORTS, reports_folder
from judgerlvr.engine.preflight import PreflightError
from judgerlvr.runs.files import write_atomically

SUMMARY = "engine.json"


def forget_reports(run_dir: Path) -> None:
    """Remove the reports of an earlier start of the run."""
    shutil.rmtree(reports_folder(run_dir), ignore_errors=True)


def report(rank: int, facts: dict[str, Any]) -> None:
    """In a worker: write ``facts`` to the folder that the driver named, if any."""
    folder = os.environ.get(REPORTS)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_atomically(Path(folder) / f"rank-{rank}.json", json.dumps(facts))


def check_reports(run_dir: Path, wanted: str, ranks: int) -> dict[str, Any]:
    """The engine of all ``ranks`` workers, also written to the run folder's ``engine.json``.

    Raises:
        PreflightError: a worker has no engine of ours, or another than ``wanted``, or workers differ.
    """
    found = {rank: _read(reports_folder(run_dir) / f"rank-{rank}.json") for rank in range(ranks)}
    strangers = [rank for rank, facts in found.items() if facts.get("name") != wanted]
    if strangers:
        name = found[strangers[0]].get("name", "verl's own")
        remedy = "unset VERL_ENGINE_VENDOR and VERL_ENGINE_DEVICE, and install judgerlvr on every node"
        raise PreflightError(f"rank {strangers[0]} trains with the engine {name}, not {wanted}; {remedy}")
    for rank, facts in found.items():
        differing = [key for key, value in facts.items() if value != found[0].get(key)]
        if differing:
            key = differing[0]
            raise PreflightError(f"rank {rank} trains with {key} {facts[key]}, rank 0 with {found[0].get(key)}")
    summary = found[0] | {"ranks": ranks}
    write_atomically(run_dir / SUMMARY, json.dumps(summary, indent=1))
    return summary


def _read(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return read
