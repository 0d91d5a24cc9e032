"""Files of a cell: the base, its checks, and one JSON an octet with a record for each run."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.lab.arms import Arm
from benchmarks.lab.cells import Cell
from benchmarks.lab.checks import Check, mean_point
from benchmarks.lab.command import BadInput, read_object, told
from benchmarks.lab.model import Weights
from benchmarks.lab.training import Octet

LABEL = "lab simulation, 4.5 M parameters, not verl"
REGISTRATIONS = Path(__file__).parent / "registrations"
BASE = "base.pt"
CHECKS = "checks.json"
CLAIM = "cell.json"  # written before anything else, so that no other cell takes the folder


class CellFolder:
    """The folder of a cell, which is the set of runs of one command. The main arms write at most eight files.

    Several processes may write to the same folder. A file appears whole, and the first claim and the first base stay.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load_base(self, device: torch.device) -> Weights | None:
        file = self.path / BASE
        if not file.exists():
            return None
        try:
            stored = torch.load(file, map_location=device, weights_only=True)
        except Exception as problem:  # torch names no error for a file that is not its own
            remedy = "put the file back, or delete it, move the octet files away and train the base anew"
            raise BadInput(f"{file} cannot be read: {remedy}") from problem
        return {name: value.float() for name, value in stored.items()}

    def save_base(self, weights: Weights) -> Weights:
        """Stores bfloat16 and returns the stored weights, so that a resumed cell starts from the same base.

        Where another process of the cell was faster, the other base stays and is returned.
        """
        content = io.BytesIO()
        torch.save({name: value.detach().to("cpu", torch.bfloat16) for name, value in weights.items()}, content)
        self._write_once(BASE, content.getvalue())
        stored = self.load_base(next(iter(weights.values())).device)
        assert stored is not None
        return stored

    def write_claim(self, cell: Cell) -> None:
        """Settings of the cell, unless the folder has a claim."""
        if not (self.path / CLAIM).exists():
            self._write_once(CLAIM, as_json(describe(cell)).encode())

    def finished(self, arm: Arm) -> bool:
        """Whether the arm has run in full. Raises ``BadInput`` where it has run from another base."""
        file = self._octet(arm)
        return file.exists() and self._complete(file)

    def check_octets(self) -> None:
        """``BadInput`` if an arm has run in full from another base than the one that is stored, or was stored."""
        for file in sorted(self.path.glob("octet-*.json")):
            self._complete(file)

    def _complete(self, file: Path) -> bool:
        """Older octets do not tell their base. An incomplete octet is trained anew, so its base does not matter."""
        octet = read_object(file, "complete")
        if octet["complete"] and octet.get("base_sha256") not in (None, self._base_hash().get("base_sha256")):
            remedy = f"put that {BASE} back, or move the octet files away and train every arm anew"
            raise BadInput(f"{file} has run from another base than {self.path / BASE}: {remedy}")
        return bool(octet["complete"])

    def save_checks(self, cell: Cell, checks: list[Check], points: list[dict], facts: dict) -> list[Check]:
        """Stores the verdict on the base, and returns the verdict that counts: the first one on these weights.

        A verdict on other weights stays in the file, under ``earlier``, so that a second try leaves a trace.
        """
        if (known := self.load_checks()) is not None:
            return known
        made = {**describe(cell), **self._base_hash(), "checks": [check.row() for check in checks]}
        made |= {"base": points[0], "base_mean": mean_point(points), **facts}
        if not (self.path / CHECKS).exists():
            self._write_once(CHECKS, as_json(made).encode())
        else:
            before = read_object(self.path / CHECKS, "checks")
            self._write(CHECKS, made | {"earlier": [*before.pop("earlier", []), before]})
        return self.load_checks() or checks

    def load_checks(self) -> list[Check] | None:
        """The stored verdict on the stored base. None where there is none, or where a file tells of other weights."""
        if not (file := self.path / CHECKS).exists():
            return None
        stored = read_object(file, "checks")
        if stored.get("base_sha256") != self._base_hash().get("base_sha256"):
            return None
        return [Check.of(row) for row in stored["checks"]]

    def _base_hash(self) -> dict[str, str]:
        """The base as a field of a record. Empty where the folder has no base."""
        file = self.path / BASE
        return {"base_sha256": hashlib.sha256(file.read_bytes()).hexdigest()} if file.exists() else {}

    def save_octet(self, cell: Cell, arm: Arm, octet: Octet, facts: dict) -> None:
        rates = [rate for rate in cell.rates for _ in range(cell.seeds)]
        runs = [
            {"seed": index % cell.seeds, "rate": rates[index], "curve": curve}
            for index, curve in enumerate(octet.curves)
        ]
        content = {
            **describe(cell),
            **self._base_hash(),
            "arm": asdict(arm),
            "complete": octet.complete,
            "seconds": round(octet.seconds, 1),
            **facts,
            "runs": runs,
            "steps": octet.steps,
        }
        self._write(self._octet(arm).name, content)

    def _octet(self, arm: Arm) -> Path:
        return self.path / f"octet-{arm.name}.json"

    def _write(self, name: str, content: dict) -> None:
        self._part(name, as_json(content).encode()).rename(self.path / name)

    def _write_once(self, name: str, content: bytes) -> None:
        """A link fails where the name is taken, and a rename would replace the file."""
        part = self._part(name, content)
        try:
            (self.path / name).hardlink_to(part)
        except FileExistsError:
            pass
        finally:
            part.unlink()

    def _part(self, name: str, content: bytes) -> Path:
        part = self.path / f"{name}.{os.getpid()}.part"
        with told(f"{self.path} cannot be written to, so name another folder"):
            part.write_bytes(content)
        return part


def as_json(content: Any, indent: int | None = None) -> str:
    """JSON with null for each number that is infinite or not a number, since JSON has neither."""
    return json.dumps(finite(content), indent=indent, allow_nan=False)


def finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def describe(cell: Cell) -> dict:
    settings = {name: value for name, value in asdict(cell).items() if name != "arms"}
    described = {"lab": LABEL, "cell": cell.name, "settings": settings, "arms": [arm.name for arm in cell.arms]}
    if cell.registration:
        text = (REGISTRATIONS / cell.registration).read_bytes()
        described["registration_sha256"] = hashlib.sha256(text).hexdigest()
    return described


def machine(device: torch.device) -> dict:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {os.cpu_count()} cores"
    return {"device": name, "torch": torch.__version__}
