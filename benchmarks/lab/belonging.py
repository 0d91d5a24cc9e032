"""Whether the files of a folder belong together: one cell, one base, and each planned run once.

A pair of runs from two cells or two bases looks like any other pair. So such a folder is refused before a figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.lab.cells import CONTROLS, Cell, all_cells
from benchmarks.lab.claim import differences
from benchmarks.lab.command import BadInput

Contents = Mapping[Path, dict[str, Any]]
REMEDY = "keep one cell's files in the folder, or copy the file anew"


def check_together(octets: Contents, others: Contents) -> None:
    """``BadInput`` unless all files are of one cell and base, and each octet has each run of its settings once.

    ``others`` are files without runs, such as the checks of the base. A cell of the lab must be as the lab has it now.
    """
    cells, every = all_cells(), {**octets, **others}
    for file, content in every.items():
        _known(file, content, cells.get(content["cell"]))
    for file, octet in octets.items():
        _own_arm(file, octet, cells.get(octet["cell"]))
        _each_run_once(file, octet)
    for (before, one), (file, other) in pairwise(every.items()):
        if unlike := _unlike(one, other, one["cell"] in cells):
            raise BadInput(f"{file} and {before.name} are of another {', '.join(unlike)}: {REMEDY}")
    _one_base(every)
    _one_end(octets)


def _known(file: Path, content: dict[str, Any], cell: Cell | None) -> None:
    found = differences(content, cell) if cell else []
    if content["settings"].get("name") != content["cell"]:
        found.append("settings.name")
    if found:
        raise BadInput(f"{file} is not of {content['cell']} as the lab has it, other {', '.join(found)}: {REMEDY}")


def _own_arm(file: Path, octet: dict[str, Any], cell: Cell | None) -> None:
    """A penalty arm of another name would move the front."""
    name = octet["arm"]["name"]
    if file.stem != f"octet-{name}":
        raise BadInput(f"{file} holds the arm {name}: {REMEDY}")
    if cell and name not in {arm.name for arm in cell.arms}:
        raise BadInput(f"{file}: {cell.name} has no arm {name}: {REMEDY}")


def _each_run_once(file: Path, octet: dict[str, Any]) -> None:
    try:
        planned = [(rate, seed) for rate in octet["settings"]["rates"] for seed in range(octet["settings"]["seeds"])]
        found = [(run["rate"], run["seed"]) for run in octet["runs"] if "step" in run["curve"][-1]]
    except (KeyError, TypeError, IndexError) as problem:
        raise BadInput(f"{file} lacks rates, seeds or curves of its runs, so the lab did not write it") from problem
    if twice := next((run for run in found if found.count(run) > 1), None):
        raise BadInput(f"{file} has the run of rate {twice[0]} and seed {twice[1]} twice: {REMEDY}")
    if set(found) != set(planned):
        raise BadInput(f"{file} has runs of other rates or seeds than its settings: {REMEDY}")


def _unlike(one: dict[str, Any], other: dict[str, Any], known: bool) -> list[str]:
    """What two files disagree in. The settings of a cell of the lab have been compared already."""
    found = [] if _name(one) == _name(other) else ["cell"]
    if one.get("registration_sha256") != other.get("registration_sha256"):
        found.append("registration")
    if not known and {**one["settings"], "name": ""} != {**other["settings"], "name": ""}:
        found.append("settings")
    return found


def _name(content: dict[str, Any]) -> str:
    return str(content["cell"]).removesuffix(CONTROLS)


def _one_base(every: Contents) -> None:
    """Older records lack the hash, and nothing else tells two bases of a cell apart."""
    bases = {content["base_sha256"]: file for file, content in every.items() if "base_sha256" in content}
    if len(bases) > 1:
        one, other, *_ = bases.values()
        raise BadInput(f"{other} and {one.name} are of another base: {REMEDY}")


def _one_end(octets: Contents) -> None:
    """Arms are compared at equal steps."""
    ends = {file: {run["curve"][-1]["step"] for run in octet["runs"]} for file, octet in octets.items()}
    steps = sorted(set().union(*ends.values()))
    if len(steps) > 1:
        file = next(file for file, own in ends.items() if own != {steps[-1]})
        raise BadInput(f"{file} has runs that end before step {steps[-1]}: {REMEDY}")
