"""Facts of the runs and of the data, and stamps that a reader must see before any number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from judgerlvr.reporting.arms import Arm, last_step, seeds_of
from judgerlvr.reporting.missing import missing
from judgerlvr.reporting.parts import ABSENT, NOT_RUN, Cell, Note, Table, count, number, short_hash
from judgerlvr.reporting.runs import Run
from judgerlvr.reporting.same_time import marked
from judgerlvr.reporting.status import State
from judgerlvr.runs.manifest import Manifest
from judgerlvr.runs.metrics import METRICS, training_seconds

ONE_SEED = "one seed: not evidence"
RUN_HEAD = (
    "run",
    "status",
    "stage",
    "steps done",
    "steps at most",
    "training (seconds)",
    "seed",
    "model hash",
    "weights changed (share)",
    "parent",
    "length term",
    "started",
    "device",
    "git commit",
    "versions",
)


def stamps(arms: Sequence[Arm], runs: Sequence[Run]) -> Iterator[Note]:
    """Seeds, length terms, runs that are not whole, and evaluations of another model than the run's."""
    seeds = seeds_of(runs)
    yield Note(ONE_SEED, stamp=True) if len(seeds) <= 1 else Note(f"Seeds: {', '.join(map(str, sorted(seeds)))}.")
    for run in runs:
        if run.manifest and run.manifest.length_term == "yes":
            yield Note(f"{run.name}: length_term: yes (trained with a length term in the reward)", stamp=True)
        if run.status.is_bad or run.status.state is State.stopped:
            yield Note(f"{run.name}: {run.status}", stamp=True)
        elif run.status.state is State.training:
            yield Note(f"{run.name}: {progress(run)}")
        # A run that still trains may be in the middle of the line.
        if run.metrics_cut and run.status.state is not State.training:
            yield Note(f"{run.name}: the last line of {METRICS} is cut and left out; {steps_known(run)}", stamp=True)
    yield from (Note(text, stamp=True) for text in (*missing(runs), *other_models(arms)))


def progress(run: Run) -> str:
    """How far a run is."""
    most = run.manifest.steps if run.manifest else None
    return f"{run.status}, step {last_step(run) or 0} of {most or 'an unknown number'}"


def steps_known(run: Run) -> str:
    """What a page with a cut row still holds."""
    last = last_step(run)
    return "no step is known" if last is None else f"figures end at step {last}"


def other_models(arms: Sequence[Arm]) -> Iterator[str]:
    """Arms whose final evaluation was made with other weights than those the run ended with."""
    for arm in arms:
        ended = arm.run.manifest.model_hash if arm.run.manifest else None
        if arm.measured.label == "final" and ended and arm.measured.model_hash not in (None, ended):
            yield f"{arm.name}: eval/final evaluates {short_hash(arm.measured.model_hash)}, not {short_hash(ended)}"


def runs_table(runs: Sequence[Run]) -> Table:
    """One row a run."""
    return Table("Runs", RUN_HEAD, [_run_row(run, runs) for run in runs])


def _run_row(run: Run, runs: Sequence[Run]) -> list[Cell]:
    status = Cell(str(run.status), tone="fault" if run.status.is_bad else "")
    if run.manifest is None:
        return [Cell(run.name), status, *[ABSENT] * (len(RUN_HEAD) - 2)]
    seconds = training_seconds(run.metrics) if run.metrics else None
    done, manifest = last_step(run), run.manifest
    return [
        Cell(run.name),
        status,
        _text(manifest.stage),
        count(done),
        count(manifest.steps),
        marked(number(seconds, 0), [run], runs),
        count(manifest.seed),
        _text(manifest.model_hash),
        number(manifest.changed_weights),
        _parent(manifest),
        Cell(manifest.length_term),
        _text(manifest.started),
        _text(manifest.device),
        _text(manifest.git_commit),
        Cell(", ".join(f"{name} {version}" for name, version in manifest.versions.items()) or NOT_RUN),
    ]


def _text(value: str | None) -> Cell:
    return Cell(short_hash(value)) if value else ABSENT


def _parent(manifest: Manifest) -> Cell:
    parent = manifest.parent
    return Cell(parent.run or "no run", f"{short_hash(parent.hash)} {parent.path}".strip())


def data_table(runs: Sequence[Run]) -> Iterator[Table]:
    """Data files of every evaluation with their hashes."""
    sources = {
        (source["file"], source["sha256"]): source
        for run in runs
        for measured in run.evaluations
        for source in measured.data
    }
    rows = [
        [Cell(file), Cell(f"{source['used']:,} of {source['rows']:,}"), Cell(short_hash(digest))]
        for (file, digest), source in sources.items()
    ]
    if rows:
        yield Table("Data of the evaluations", ("file", "rows used", "sha256"), rows)
