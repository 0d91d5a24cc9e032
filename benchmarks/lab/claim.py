"""Claims: a folder holds the runs of a single base, and a cell of another base is refused before it writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from benchmarks.lab.cells import CONTROLS, Cell
from benchmarks.lab.command import BadInput, made_folder, read_object
from benchmarks.lab.records import BASE, CLAIM, CellFolder, describe


def claimed(path: Path, cell: Cell) -> CellFolder:
    """The folder of ``cell``, with a file that says so. ``BadInput`` if the folder is another cell's."""
    check_claim(path, cell)
    folder = CellFolder(made_folder(path))
    folder.write_claim(cell)
    check_claim(path, cell)  # another cell may have been faster
    return folder


def check_claim(path: Path, cell: Cell) -> None:
    """Refuse a folder whose files tell of another cell or base, or whose base tells of none. Nothing is written."""
    files = [path / CLAIM, path / "checks.json", *sorted(path.glob("octet-*.json"))]
    known = [file for file in files if file.exists()]
    for file in known:
        if different := differences(read_object(file, "cell", "settings"), cell):
            raise BadInput(f"{file} is not of {cell.name}, other {', '.join(different)}: name another folder")
    if not known and (path / BASE).exists():
        raise BadInput(f"{path / BASE} has no {CLAIM} or checks.json that names the cell: name another folder")
    CellFolder(path).check_octets()


def differences(stored: dict[str, Any], cell: Cell) -> list[str]:
    """Names of what makes the base or the runs of a stored file others than the cell's."""
    settings = {**stored["settings"], "name": str(stored["cell"]).removesuffix(CONTROLS)}
    found = list(_differing(settings, cell, "", skip=("arms", "name")))
    if settings["name"] != cell.name.removesuffix(CONTROLS):
        found.insert(0, "name")
    if stored.get("registration_sha256") != describe(cell).get("registration_sha256"):
        found.append("registration")
    arms = {arm.name: arm for arm in cell.arms}
    recorded = stored.get("arm") or {}
    if recorded.get("name") in arms:
        found += _differing(recorded, arms[recorded["name"]], "arm.")
    return found


def _differing(stored: dict[str, Any], made: Any, prefix: str, skip: tuple[str, ...] = ()) -> Iterator[str]:
    """Fields of a dataclass whose stored values are others. A field that a record lacks has had its default."""
    known = [field for field in fields(made) if field.name not in skip]
    yield from (prefix + name for name in stored if name not in {*skip, *(field.name for field in known)})
    for field in known:
        old = stored[field.name] if field.name in stored else default_of(field)
        yield from _unlike(old, getattr(made, field.name), prefix + field.name)


def _unlike(old: Any, now: Any, name: str) -> Iterator[str]:
    if is_dataclass(now) and isinstance(old, dict):
        yield from _differing(old, now, f"{name}.")
    elif isinstance(now, tuple) and isinstance(old, list | tuple):
        for index, pair in enumerate(zip_longest(old, now, fillvalue=MISSING)):
            yield from _unlike(*pair, f"{name}.{index}")
    elif old != now:
        yield name


def default_of(field: Field[Any]) -> Any:
    """``MISSING`` for a field without a default, which equals no value."""
    return field.default if field.default_factory is MISSING else field.default_factory()
