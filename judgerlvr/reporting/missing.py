"""What a page lacks by the runs' own files: rows that are gone without a trace, and runs whose cost is not known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from judgerlvr.evaluation.outputs import SAMPLES, SUMMARY
from judgerlvr.reporting.arms import last_step, parent_of
from judgerlvr.reporting.runs import Run
from judgerlvr.reporting.status import State
from judgerlvr.runs.checkpoints import STEP
from judgerlvr.runs.folder import CONFIG
from judgerlvr.runs.metrics import METRICS
from rewards.wording import counted


def missing(runs: Sequence[Run]) -> Iterator[str]:
    """A sentence for each gap that would change a figure."""
    for run in runs:
        yield from (f"{run.name}: {text}" for text in (*_rows(run), *_samples(run), *_files(run), *_parent(run, runs)))


def _rows(run: Run) -> Iterator[str]:
    """A run that still trains may be about to write its row."""
    ended = STEP.fullmatch((run.manifest.trained or "").rpartition("/")[2]) if run.manifest else None
    last = last_step(run) or 0
    if ended and last < int(ended.group(1)) and run.status.state is not State.training:
        yield f"{METRICS} ends at step {last} and the run at step {ended.group(1)}, so steps and tokens are too few"


def _samples(run: Run) -> Iterator[str]:
    for measured in run.evaluations:
        declared = sum(row.samples for row in measured.results)
        if len(measured.samples) != declared:
            problem = f"{SAMPLES} of {measured.label} holds {len(measured.samples):,} of {counted(declared, 'sample')}"
            yield f"{problem}, so paired differences rest on those alone"


def _files(run: Run) -> Iterator[str]:
    for folder in sorted(path for path in (run.folder / "eval").glob("*") if (path / SAMPLES).is_file()):
        if not (folder / SUMMARY).is_file():
            yield f"eval/{folder.name} has samples and no {SUMMARY}, and is not shown"
    if run.manifest and run.manifest.stage and not (run.folder / CONFIG).is_file():
        yield f"{CONFIG} is missing, so its keys are not compared"


def _parent(run: Run, runs: Sequence[Run]) -> Iterator[str]:
    name = run.manifest.parent.run if run.manifest else None
    if not name:
        return
    parent = parent_of(run, runs)
    if parent is None:
        yield f"the run before, {name}, is not on this page, so steps and tokens lack what it spent"
    elif last_step(parent) is None:
        yield f"the run before, {parent.name}, has no steps on record, so steps and tokens lack what it spent"
