"""Files of a cell: the base, its checks, and one JSON an octet with a record for each run."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.lab.arms import Arm
from benchmarks.lab.cells import Cell
from benchmarks.lab.checks import Check
from benchmarks.lab.model import Weights
from benchmarks.lab.training import Octet

LABEL = "lab simulation, 4.5 M parameters, not verl"
REGISTRATIONS = Path(__file__).parent / "registrations"


class CellFolder:
    """The folder of a cell, which is the set of runs of one command. The main arms write at most eight files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def load_base(self, device: torch.device) -> Weights | None:
        file = self.path / "base.pt"
        if not file.exists():
            return None
        stored = torch.load(file, map_location=device, weights_only=True)
        return {name: value.float() for name, value in stored.items()}

    def save_base(self, weights: Weights) -> Weights:
        """Stores bfloat16 and returns the rounded weights, so that a resumed cell starts from the same base."""
        small = {name: value.detach().to("cpu", torch.bfloat16) for name, value in weights.items()}
        temporary = self.path / "base.pt.part"
        torch.save(small, temporary)
        temporary.rename(self.path / "base.pt")
        return {name: value.to(weights[name].device).float() for name, value in small.items()}

    def finished(self, arm: Arm) -> bool:
        file = self._octet(arm)
        return file.exists() and json.loads(file.read_text())["complete"]

    def save_checks(self, cell: Cell, checks: list[Check], points: list[dict], facts: dict) -> None:
        rows = [check.row() for check in checks]
        self._write("checks.json", {**describe(cell), "checks": rows, "base": points[0], **facts})

    def save_octet(self, cell: Cell, arm: Arm, octet: Octet, facts: dict) -> None:
        rates = [rate for rate in cell.rates for _ in range(cell.seeds)]
        runs = [
            {"seed": index % cell.seeds, "rate": rates[index], "curve": curve}
            for index, curve in enumerate(octet.curves)
        ]
        content = {
            **describe(cell),
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
        temporary = self.path / f"{name}.part"
        temporary.write_text(json.dumps(without_nan(content)))
        temporary.rename(self.path / name)


def without_nan(value: Any) -> Any:
    """The same content with null for each number that is not one, as JSON demands."""
    if isinstance(value, dict):
        return {name: without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


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
