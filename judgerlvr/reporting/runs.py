"""Run folders as the report sees them: whatever is there is read, whatever is not stays absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from judgerlvr.config.load import load_stored
from judgerlvr.config.schema import Config
from judgerlvr.reporting.evaluations import Measured, read_evaluations
from judgerlvr.reporting.planned import Planned
from judgerlvr.reporting.status import Status, status_of
from judgerlvr.runs.folder import CONFIG
from judgerlvr.runs.manifest import MANIFEST, Manifest, read_manifest
from judgerlvr.runs.metrics import METRICS, StepRow, last_row_is_cut, merge_steps, read_metrics
from judgerlvr.runs.policy_card import PolicyCard, read_card
from judgerlvr.runs.rollout_log import ROLLOUTS, LoggedRollout, read_steps
from rewards.errors import InputError

# Training rollouts of at most this many steps are read: the last ones.
ROLLOUT_STEPS = 50


@dataclass(frozen=True)
class Run:
    """One run folder. ``metrics`` has one merged row a step, in order.

    ``metrics_cut``: the last row was cut short and is left out.
    ``config`` is None where there is no configuration, or where ``config_problem`` tells why none could be read.
    """

    folder: Path
    manifest: Manifest | None = None
    metrics: list[StepRow] = field(default_factory=list)
    evaluations: list[Measured] = field(default_factory=list)
    rollouts: list[LoggedRollout] = field(default_factory=list)
    config: Config | None = None
    config_problem: str = ""
    status: Status = field(default_factory=Status)
    card: PolicyCard | None = None
    metrics_cut: bool = False
    planned: Planned | None = None
    label: str = ""  # the name on a page where several runs have one name

    @property
    def name(self) -> str:
        return self.label or self.own_name

    @property
    def own_name(self) -> str:
        """The name that the run was given, which other runs' manifests use."""
        return self.manifest.name if self.manifest else self.folder.name

    @property
    def stage(self) -> str | None:
        """``judge``, ``generate``, or None for a folder that only holds an evaluation."""
        return self.manifest.stage if self.manifest else None

    @property
    def training(self) -> list[StepRow]:
        return [row for row in self.metrics if row.is_training]


def read_run(folder: Path) -> Run:
    """Read a run folder, or the output folder of an evaluation.

    Raises:
        InputError: there is nothing to report in it, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise InputError("no such run folder", "give folders under runs/", file=folder)
    manifest = read_manifest(folder) if (folder / MANIFEST).is_file() else None
    metrics = merge_steps(read_metrics(folder / METRICS))
    config, problem = _config(folder, manifest)
    run = Run(
        folder=folder,
        manifest=manifest,
        metrics=metrics,
        evaluations=read_evaluations(folder),
        rollouts=list(read_steps(folder / ROLLOUTS, ROLLOUT_STEPS)),
        config=config,
        config_problem=problem,
        status=status_of(folder, manifest, metrics),
        card=read_card(folder),
        metrics_cut=last_row_is_cut(folder / METRICS),
    )
    if not (run.manifest or run.metrics or run.evaluations):
        raise InputError("no manifest.json, metrics.jsonl or eval/ in it", "give a run folder", file=folder)
    return run


def told_apart(runs: Sequence[Run]) -> list[Run]:
    """The runs, each with a name of its own: its name, else the name behind its parent folder, else its folder."""
    for names in (
        [run.own_name for run in runs],
        [f"{run.folder.absolute().parent.name}/{run.own_name}" for run in runs],
        [str(run.folder) for run in runs],
    ):
        if len(set(names)) == len(names):
            break
    return [replace(run, label=name) for run, name in zip(runs, names, strict=True)]


def refuse_copies(runs: Sequence[Run]) -> None:
    """Runs are told apart by their name, their start and the hash of their weights.

    Raises:
        InputError: two folders hold one run, which would count as two.
    """
    seen: dict[tuple[str, str, str], Run] = {}
    for run in runs:
        if run.manifest is None or not run.manifest.model_hash:
            continue
        first = seen.setdefault((run.manifest.name, run.manifest.started, run.manifest.model_hash), run)
        if first is not run:
            raise InputError(f"is a copy of {first.folder}, and would count as two seeds", "give one", file=run.folder)


def _config(folder: Path, manifest: Manifest | None) -> tuple[Config | None, str]:
    """The stored configuration. Other facts of a run are worth a page even where this file is of another version."""
    path = folder / CONFIG
    if manifest is None or not path.is_file():
        return None, ""
    try:
        return load_stored(path, manifest.device or "cpu"), ""
    except InputError as error:
        return None, str(error)
