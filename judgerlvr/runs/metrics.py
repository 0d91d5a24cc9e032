"""Metrics of a run: each one declared once, written to ``metrics.jsonl`` and read back here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from data.jsonl import read_jsonl
from data.typed_rows import record_fault
from rewards.errors import CommandFailed, InputError

METRICS = "metrics.jsonl"
PROGRESS = "progress.log"
# Marks of lines that name what a run is at work on. A passing phase comes with every step.
PHASE, PASSING = "phase: ", "passing phase: "
# The last phase stands within so many bytes of the end of the progress file.
TAIL_BYTES = 2**16


class When(StrEnum):
    """The steps on which a metric must occur."""

    training = "every training step"
    judging = "every training step of a judge stage"
    validation = "steps with validation"
    solving = "steps with validation of a judge that also solves"
    outcome = "training steps with a response of that kind"
    measured = "training steps on which the trainer computes old log-probabilities"
    hysparse = "such steps of a HySparse policy"
    flowing = "training steps with asynchronous rollouts"


@dataclass(frozen=True)
class Metric:
    """One declared metric. ``{}`` in ``name`` stands for one path part, and the metric is then a family."""

    name: str
    unit: str
    meaning: str
    when: When = When.training
    guarded: bool = False


class MetricMissing(CommandFailed):
    """A metric is absent on a step on which its declaration says that it occurs."""


ACCURACY = Metric("response/accuracy", "share", "Responses graded as correct, of all that were sampled.")
TRUNCATED = Metric("response/truncated", "share", "Responses cut at max_response_tokens.", guarded=True)
MEAN_TOKENS = Metric("response/mean_tokens", "tokens", "Mean length of all sampled responses.", guarded=True)
ALL_ZERO = Metric("response/all_zero", "0 or 1", "1 where every reward of the step is zero.", guarded=True)
LENGTH_BY_OUTCOME = Metric("tokens/{}", "tokens", "Mean length of correct, wrong or truncated responses.", When.outcome)
REASON = Metric("reason/{}", "responses", "Responses that the grader gave this reason to.", When.outcome)
GENERATED_TOKENS = Metric(
    "budget/generated_tokens", "tokens", "Response tokens sampled since the run began, candidates included."
)
EXTRA_ROUNDS = Metric("sampling/extra_rounds", "rounds", "Further batches of prompts drawn for uniform groups.")
GROUPS = Metric("sampling/groups", "groups", "Groups sampled in the step, dropped groups included.")
UNIFORM = Metric("sampling/uniform_groups_trained_on", "groups", "Groups without advantage that fill the batch.")
FLOW = Metric(
    "async/{}",
    "steps or share",
    "Age of a response's first token in updates: age_mean, age_max. partial: responses that an update interrupted.",
    When.flowing,
)
GRADING = Metric("grading/{}", "seconds", "Grading time of a response: p50_s, p99_s, max_s.")
ACCEPTED = Metric(
    "judge/accepted", "share", "Accepting verdicts among the readable ones; absent without any.", When.outcome, True
)
JUDGE_CLASS = Metric("judge/{}", "share", "Judging by class: accuracy of each class, balanced accuracy.", When.outcome)
SHORTCUT = Metric("shortcut/{}", "share", "Balanced accuracy of a baseline that does not reason.", When.outcome)
REWARD = Metric("critic/score/mean", "reward", "Mean reward of the batch that was trained on (verl).", guarded=True)
ENTROPY = Metric(
    "actor/entropy", "nats", "Mean entropy of the policy at response tokens (verl).", When.measured, guarded=True
)
GRADIENT = Metric("actor/grad_norm", "norm", "Gradient norm before clipping, mean over updates (verl).", guarded=True)
LOSS = Metric("actor/pg_loss", "loss", "Policy loss, mean over updates (verl).", guarded=True)
MISMATCH = Metric(
    "training/rollout_probs_diff_mean",
    "probability",
    "Mean |p_rollout - p_trainer| over the step's tokens (verl).",
    When.measured,
    guarded=True,
)
HELDOUT_ACCURACY = Metric("validation/accuracy/{}", "share", "Held-out accuracy of one data source.", When.validation)
HELDOUT_BALANCED = Metric(
    "validation/balanced_accuracy", "share", "Held-out balanced accuracy of judging.", When.validation
)
SOLVING_ACCURACY = Metric(
    "validation/solving/accuracy", "share", "Held-out problems that the judge's policy solves.", When.solving
)
SOLVING_TOKENS = Metric(
    "validation/solving/mean_tokens", "tokens", "Mean length of these solutions, truncated ones included.", When.solving
)
SOLVING_TRUNCATED = Metric(
    "validation/solving/truncated", "share", "Solutions cut at generate.max_response_tokens.", When.solving
)
DIFFERENCE = Metric(
    "mismatch/{}",
    "share or nats",
    "Trainer against rollout: kl, ess, ess_sequences, and equal_experts with router replay.",
    When.measured,
)
HYSPARSE = Metric(
    "hysparse/{}", "share", "Agreement of rollout and trainer choices; see docs/hysparse-rl.md.", When.hysparse
)
THROUGHPUT = Metric(
    "perf/throughput", "tokens a second", "Prompt and response tokens of the batch, by second and device (verl)."
)
PHASE_SECONDS = Metric("timing_s/{}", "seconds", "Seconds of a part of the step: gen, update_actor, step (verl).")
TRAINER_MEMORY = Metric(
    "actor/perf/max_memory_allocated_gb",
    "GiB",
    "Peak of torch's allocator in a trainer process, 0 on a CPU (verl).",
)
HOST_MEMORY = Metric(
    "actor/perf/cpu_memory_used_gb", "GiB", "Memory in use on the trainer's machine, other programs included (verl)."
)

# Collected from the module, so that a metric cannot be declared and forgotten.
DECLARED: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

# Names of version 0.1.0, so that reports show runs of that version.
RENAMED = {
    "sampled/accuracy": ACCURACY.name,
    "sampled/truncated": TRUNCATED.name,
    "sampled/tokens": MEAN_TOKENS.name,
    "sampled/all_zero": ALL_ZERO.name,
    "sampling/generated_tokens": GENERATED_TOKENS.name,
}
# verl computes these from padded lengths, so the figures are wrong.
DROPPED = ("prompt_length/clip_ratio", "response_length/clip_ratio")


@dataclass(frozen=True)
class StepRow:
    """One row of ``metrics.jsonl``.

    A training step and a validation before training write rows of their own.
    ``seconds`` counts the run's training time, resumed parts included.
    """

    step: int
    stage: str
    seconds: float
    values: Mapping[str, float]

    @property
    def is_training(self) -> bool:
        return MEAN_TOKENS.name in self.values

    def __getitem__(self, metric: Metric) -> float:
        """The value of a metric.

        Raises:
            MetricMissing: the row has no such value.
        """
        if metric.name not in self.values:
            raise MetricMissing(f"step {self.step} has no metric {metric.name} ({metric.when})")
        return self.values[metric.name]

    def get(self, metric: Metric) -> float | None:
        """The value of a metric that may be absent by its declaration.

        Raises:
            MetricMissing: the metric is absent although its declaration says that it occurs on this step.
        """
        if metric.name in self.values or not self._must_hold(metric):
            return self.values.get(metric.name)
        return self[metric]

    def family(self, metric: Metric) -> dict[str, float]:
        """Values of a family by the part that ``{}`` stands for."""
        head = metric.name.removesuffix("{}")
        return {name.removeprefix(head): value for name, value in self.values.items() if name.startswith(head)}

    def _must_hold(self, metric: Metric) -> bool:
        always = metric.when is When.training or (metric.when is When.judging and self.stage == "judge")
        return self.is_training and always

    def to_json(self) -> str:
        return json.dumps({"step": self.step, "stage": self.stage, "seconds": self.seconds, **self.values})

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> StepRow:
        values = {RENAMED.get(name, name): value for name, value in row.items()}
        head = {"step": values.pop("step"), "stage": values.pop("stage", ""), "seconds": values.pop("seconds", 0.0)}
        if found := record_fault({**head, "values": {}}, cls):
            raise TypeError(": ".join(found))
        # A value that is not finite is a fact of the run, which the reader shows.
        if wrong := [name for name, value in values.items() if type(value) not in (int, float)]:
            raise TypeError(f"{wrong[0]}: no number")
        return cls(**head, values=values)


def merge_steps(rows: list[StepRow]) -> list[StepRow]:
    """One row a step, in order. Later rows of a step win, as a run that was resumed repeats steps."""
    merged: dict[int, StepRow] = {}
    for row in rows:
        before = merged.get(row.step)
        # Validation and a resumed run may repeat a step, so the values of both rows are joined.
        values = {**before.values, **row.values} if before else row.values
        merged[row.step] = StepRow(row.step, row.stage, row.seconds, values)
    return [merged[step] for step in sorted(merged)]


def log_progress(run_dir: Path, line: str) -> None:
    """Write a line for the person who watches. The driver copies the file to the console."""
    with (run_dir / PROGRESS).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def log_phase(run_dir: Path, name: str, passing: bool = False) -> None:
    """Say what the run is at work on. The console shows the time that the phase takes."""
    log_progress(run_dir, f"{PASSING if passing else PHASE}{name}")


def sampling_phase(step: int) -> str:
    return f"step {step}: sampling"


def training_phase(step: int) -> str:
    return f"step {step}: training"


def is_before_update(run_dir: Path) -> bool:
    """Whether a step is at work whose update has not begun."""
    path = run_dir / PROGRESS
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    named = [line.removeprefix(PASSING) for line in lines if line.startswith((PHASE, PASSING))]
    step = re.fullmatch(r"step (\d+): .*", named[-1]) if named else None
    return step is not None and named[-1] != training_phase(int(step[1]))


def append_row(path: Path, row: StepRow) -> None:
    """Add a row to ``metrics.jsonl``. The row is on the disk afterwards, as the seal of the step will be."""
    with path.open("a", encoding="utf-8") as file:
        file.write(row.to_json() + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_metrics(path: Path) -> list[StepRow]:
    """Rows of a ``metrics.jsonl``. A last line that a crash cut short is left out.

    Raises:
        InputError: another line is damaged.
    """
    rows = []
    for number, row in enumerate(read_jsonl(path, torn_last_line=True) if path.is_file() else (), start=1):
        try:
            rows.append(StepRow.from_json(row))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"no metrics row ({error})", "restore the file from a copy, or remove the line", file=path, row=number
            ) from error
    return rows


def last_row_is_cut(path: Path) -> bool:
    """Whether ``read_metrics`` leaves out a last line of this file, which a kill has cut short."""
    lines = path.read_bytes().strip().splitlines() if path.is_file() else []
    try:
        json.loads(lines[-1] if lines else b"{}")
    except (ValueError, RecursionError):
        return True
    return False


def training_seconds(rows: Sequence[StepRow]) -> float:
    """Training time of merged rows. Version 0.1.0 began at zero again when a run was resumed."""
    total = before = 0.0
    for row in rows:
        total += row.seconds - (before if row.seconds >= before else 0.0)
        before = row.seconds
    return total


def metric_table() -> str:
    """Every declared metric as a Markdown table."""
    head = ["| metric | unit | occurs on | meaning |", "| --- | --- | --- | --- |"]
    rows = []
    for metric in DECLARED:
        name, meaning = metric.name.replace("{}", "*"), metric.meaning.replace("|", "\\|")
        rows.append(f"| `{name}` | {metric.unit} | {metric.when} | {meaning} |")
    return "\n".join([*head, *rows]) + "\n"
