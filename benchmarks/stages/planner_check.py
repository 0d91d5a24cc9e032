"""Predicted over measured figures of a run: seconds by phase, and the peak memory of the trainer.

    python -m benchmarks.stages.planner_check RUN [--card h100] [--measured FILE]

RUN is a run's folder. The plan gets the lengths that the run sampled. The first step is warm-up.
The exit code is 1 where memory is off by more than 10 %, or the step by more than 25 %.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from judgerlvr.config.load import load_stored
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import machine_of
from judgerlvr.planning.measured import factors_for
from judgerlvr.planning.memory import trainer_peak
from judgerlvr.planning.observed import observed
from judgerlvr.planning.shapes import read_shape
from judgerlvr.planning.speed import step_seconds
from judgerlvr.runs.folder import CONFIG
from judgerlvr.runs.manifest import read_manifest
from judgerlvr.runs.metrics import METRICS, read_metrics
from rewards.errors import exit_code

MEMORY_LIMIT, STEP_LIMIT = 0.10, 0.25


@dataclass(frozen=True)
class Row:
    """One figure: GiB for the memory, seconds for the rest."""

    name: str
    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        return self.predicted / self.measured if self.measured else float("nan")


def compare(run_dir: Path, card: str, measured: str) -> list[Row]:
    """The phases, the whole step and the trainer's peak.

    Raises:
        InputError: no run folder, or a policy that the planner does not know.
    """
    manifest = read_manifest(run_dir)
    kind = "judge" if manifest.stage == "judge" else "generate"
    config = load_stored(run_dir / CONFIG, manifest.device)
    config.planning.card = card
    shape, load = read_shape(Path(manifest.parent.path)), load_of(kind, config, manifest.prompts_per_step)
    machine = machine_of(config.planning, Path(config.runs), manifest.device)
    found = observed(read_metrics(run_dir / METRICS))
    predicted = step_seconds(shape, load, machine, found.tokens, factors_for(machine.card, measured))
    rows = [Row(phase, seconds, found.seconds[phase]) for phase, seconds in predicted.items()]
    total = Row("step", sum(predicted.values()), sum(found.seconds.values()))
    return [*rows, total, Row("trainer GiB", trainer_peak(shape, load, machine.gpu), found.trainer_gib)]


def table(rows: list[Row]) -> str:
    lines = ["| figure | predicted | measured | predicted / measured |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.name} | {row.predicted:.2f} | {row.measured:.2f} | {row.ratio:.3f} |" for row in rows]
    return "\n".join(lines)


def within(rows: list[Row]) -> bool:
    """Whether the step and the memory lie within their limits."""
    limits = {"step": STEP_LIMIT, "trainer GiB": MEMORY_LIMIT}
    return all(abs(row.ratio - 1) <= limits[row.name] for row in rows if row.name in limits)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--card", default="auto", help="a100 | h100 | h200 | auto (this machine's)")
    parser.add_argument("--measured", default="", help="file of python -m judgerlvr.measure")
    options = parser.parse_args()
    rows: list[Row] = []
    code = exit_code(lambda: rows.extend(compare(options.run, options.card, options.measured)))
    if code:
        return code
    print(table(rows))
    return 0 if within(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
