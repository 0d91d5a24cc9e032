"""One process for each kind of kernels. The rows of all processes stand in one table."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from benchmarks.hysparse.kernels.candidates.cells import BLOCK
from benchmarks.hysparse.kernels.candidates.kinds import KINDS
from benchmarks.hysparse.kernels.case import Case
from benchmarks.hysparse.kernels.libraries import BASELINES
from benchmarks.hysparse.kernels.prefill import FULL_LAYERS, compare
from benchmarks.hysparse.kernels.table import Row, Table

LIBRARIES = "libraries"
COMMAND = "benchmarks.hysparse.kernels.candidates"
# For the start of a process, and for a row that begins in the last second.
GRACE = 45.0


def each_alone(options: argparse.Namespace, arguments: list[str]) -> None:
    """Run this command's ``arguments`` for one kind after the other, then derive 36 layers from the blocks.

    The fastest backward pass of the kind outer_backward goes to the kinds after it, unless one is asked for by --try.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    table = Table(options.out, options.seconds)
    kinds = [name for name in options.kinds if name != LIBRARIES]
    # The backward pass comes first, because the other kinds take its fastest configuration.
    kinds.sort(key=lambda name: not KINDS[name].backward_alone)
    kinds += [] if options.no_libraries else [LIBRARIES]
    tried: list[str] = []
    for number, kind in enumerate(kinds):
        # The first kinds compile most, so each later kind is only sure of half an equal share.
        kept = options.seconds / (2 * len(kinds)) * (len(kinds) - number - 1)
        seconds = max(1.0, table.left - kept)
        folder = options.out / kind
        command = [sys.executable, "-m", COMMAND, *arguments, "--kinds", kind, "--alone", str(folder)]
        command += ["--seconds", f"{seconds:.0f}", *tried]
        adopt(table, kind, folder, ran(command, seconds + GRACE))
        if kind in KINDS and KINDS[kind].backward_alone and kind not in dict(options.tried):
            tried = fastest(table, kind, options)
    if options.blocks:
        derive(table, options)
    print(f"written to {options.out}/hysparse-kernels.md")


def ran(command: list[str], limit: float) -> str:
    """How a process ended, empty if well. A process that hangs is killed after ``limit`` seconds."""
    try:
        code = subprocess.run(command, timeout=limit, check=False, env=environment()).returncode
    except subprocess.TimeoutExpired:
        return f"killed after {limit:.0f} s"
    return "" if code == 0 else f"ended with code {code}"


def environment() -> dict[str, str]:
    """This process's environment, in which Python finds the repository's packages."""
    paths = [str(Path(__file__).parents[4]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def adopt(table: Table, kind: str, folder: Path, ending: str) -> None:
    """Take the rows of a process into the table, and a row on a process that did not end well."""
    file = folder / "hysparse-kernels.json"
    known, known_fields = {row.key for row in table.rows}, {field.name for field in fields(Row)}
    for entry in json.loads(file.read_text())["rows"] if file.is_file() else []:
        row = Row(**{name: value for name, value in entry.items() if name in known_fields})
        # Each process describes the same sets of indices.
        if row.what != "indices" or row.key not in known:
            table.rows.append(row)
    if ending:
        table.rows.append(Row(0, 0, kind, note=ending))
    table.write()


def fastest(table: Table, kind: str, options: argparse.Namespace) -> list[str]:
    """The argument that gives the fastest configuration of a kind at the first context to other kinds."""
    timed = [
        (row.ms, row.what.removeprefix(f"{kind} "))
        for row in table.rows
        if row.ms is not None and row.what.startswith(f"{kind} ") and row.context == options.contexts[0]
    ]
    return ["--try", f"{kind}:{min(timed)[1]}"] if timed else []


def derive(table: Table, options: argparse.Namespace) -> None:
    """36 layers in nine measured blocks, beside 36 layers of the fastest library."""
    for row in [row for row in table.rows if BLOCK in row.what and row.ms is not None]:
        case = Case(table, options, row.context, row.group)
        suffix = " + backward" if row.what.endswith(" + backward") else ""
        dense = [ms for name in BASELINES if (ms := table.find(row.context, row.group, name + suffix)) is not None]
        what = f"{row.what.split(':')[0]}: derived: 36 layers, 9 measured blocks{suffix}"
        compare(case, what, row.source, FULL_LAYERS * (row.ms or 0.0), dense)
