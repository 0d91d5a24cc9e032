"""Arms of a comparison: which run plays which part, and what it cost from the base model on."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from judgerlvr.reporting.evaluations import Measured
from judgerlvr.reporting.planned import Planned
from judgerlvr.reporting.plotting import Look
from judgerlvr.reporting.runs import Run
from judgerlvr.runs.manifest import MANIFEST, read_manifest
from judgerlvr.runs.metrics import GENERATED_TOKENS

BASE, JUDGE, JUDGERLVR, VANILLA = "base", "after judge", "JudgeRLVR", "vanilla"
ORDER = (BASE, JUDGE, JUDGERLVR, VANILLA)
BASE_LABELS = ("base", "init", "step_0")
FINAL_LABELS = ("final", "last", "end")


@dataclass(frozen=True)
class Arm:
    """One evaluated model. ``steps`` and ``tokens`` count from the base model, the judging stage included.

    ``label`` names a checkpoint on the way, None at the run's end.
    """

    part: str
    run: Run
    measured: Measured
    steps: int | None
    tokens: int | None
    label: str | None = None
    planned: Planned | None = None

    @property
    def name(self) -> str:
        return self.part if self.label is None else f"{self.part} @ {self.label}"


@dataclass(frozen=True)
class Looks:
    """One look a part, the same in every figure. Parts beyond the four known parts follow in their order."""

    others: tuple[str, ...] = ()

    def of(self, part: str) -> Look:
        known = (*ORDER, *self.others)
        place = known.index(part) if part in known else len(known)
        return Look(place)


def looks_of(runs: Sequence[Run]) -> Looks:
    """Looks for the parts of these runs."""
    parts = dict.fromkeys(part_of(run, runs) for run in runs)
    return Looks(tuple(part for part in parts if part not in ORDER))


def _parent_name(run: Run) -> str | None:
    return run.manifest.parent.run if run.manifest else None


def parent_of(run: Run, runs: Sequence[Run]) -> Run | None:
    """The run whose weights this one started from, if it is among ``runs``.

    Runs of several seeds have the same names. The hash of the weights decides, then the folder that both lie in.
    """
    name = _parent_name(run)
    named = [other for other in runs if name and other is not run and other.own_name == name]
    same = [other for other in named if _started_from(run, other)]
    beside = [other for other in same or named if other.folder.absolute().parent == run.folder.absolute().parent]
    found = beside or same or (named if len(named) == 1 else [])
    return found[0] if found else None


def _started_from(run: Run, other: Run) -> bool:
    """Whether the published weights of ``other`` are those that the run began with."""
    began = run.manifest.parent.hash if run.manifest else ""
    return bool(began and other.manifest and began == other.manifest.model_hash)


def part_of(run: Run, runs: Sequence[Run]) -> str:
    """The run's part in the comparison: by the plan, or by its own stage and its parent's, else its own name."""
    if run.planned:
        return run.planned.part
    if run.stage == "judge":
        return JUDGE
    if run.stage != "generate":
        return run.own_name
    if not _parent_name(run):
        return VANILLA
    return JUDGERLVR if _parent_stage(run, runs) == "judge" else run.own_name


def _parent_stage(run: Run, runs: Sequence[Run]) -> str | None:
    """Stage of the run that this one started from, among ``runs`` or beside it on disk."""
    parent = parent_of(run, runs)
    if parent is not None:
        return parent.stage
    beside = run.folder.absolute().parent / str(_parent_name(run))
    return read_manifest(beside).stage if (beside / MANIFEST).is_file() else None


def cost_before(run: Run, runs: Sequence[Run]) -> tuple[int, int]:
    """Steps and generated tokens that the run's ancestors spent."""
    parent = parent_of(run, runs)
    if parent is None:
        return 0, 0
    steps, tokens = cost_before(parent, runs)
    return steps + (last_step(parent) or 0), tokens + (tokens_at(parent, None) or 0)


def last_step(run: Run) -> int | None:
    """The last training step on record."""
    return run.training[-1].step if run.training else None


def tokens_at(run: Run, step: int | None) -> int | None:
    """Tokens the run had generated after ``step`` (None: its last)."""
    spent = [row.values.get(GENERATED_TOKENS.name) for row in run.training if step is None or row.step <= step]
    known = [tokens for tokens in spent if tokens is not None and math.isfinite(tokens)]
    return int(known[-1]) if known else None


def find_arms(runs: Sequence[Run]) -> list[Arm]:
    """Every evaluated model of the runs: base first, then by part, in the order given."""
    arms = [_arm(run, measured, runs) for run in runs for measured in run.evaluations]
    rank = {name: place for place, name in enumerate(ORDER)}
    return sorted(arms, key=lambda arm: rank.get(arm.part, len(ORDER)))


def _arm(run: Run, measured: Measured, runs: Sequence[Run]) -> Arm:
    label = measured.label
    if label in BASE_LABELS:
        return Arm(BASE, run, measured, 0, 0)
    part = part_of(run, runs)
    step = _step_of(measured)
    before_steps, before_tokens = cost_before(run, runs)
    steps, tokens = (last_step(run) if step is None else step), tokens_at(run, step)
    final = label in FINAL_LABELS or label == run.folder.name or step == last_step(run) or len(run.evaluations) == 1
    return Arm(
        part,
        run=run,
        measured=measured,
        steps=None if steps is None else steps + before_steps,
        tokens=None if tokens is None else tokens + before_tokens,
        label=None if final else label,
        planned=run.planned,
    )


def _step_of(measured: Measured) -> int | None:
    """The step of the evaluated checkpoint, from a label such as ``step_12``."""
    found = re.fullmatch(r"(?:global_)?step_(\d+)", measured.label)
    return int(found[1]) if found else None


def seeds_of(runs: Sequence[Run]) -> set[int]:
    """Distinct training seeds of the runs whose manifest names one."""
    return {run.manifest.seed for run in runs if run.manifest and run.manifest.seed is not None}


def main_arms(arms: Sequence[Arm]) -> list[Arm]:
    """Base and final models. Evaluations on the way stay in the tables."""
    return [arm for arm in arms if arm.label is None]


def reference_of(arms: Sequence[Arm]) -> str:
    """The part that a plan's other arms are compared with: vanilla, else the first. Empty for runs of no plan."""
    parts = [arm.part for arm in arms if arm.planned and arm.planned.last]
    return VANILLA if VANILLA in parts else next(iter(parts), "")


def one_of_each(arms: Sequence[Arm]) -> list[Arm]:
    """The first arm of each name: what fits in one figure when a part was run with several seeds."""
    return list({arm.name: arm for arm in reversed(arms)}.values())[::-1]
