"""Curves through both stages: what each training step measured, placed after what the run's ancestors had spent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from judgerlvr.reporting.arms import Looks, cost_before, parent_of, part_of
from judgerlvr.reporting.parts import Figure, Group, Note
from judgerlvr.reporting.plotting import RIGHT, WRONG, Line, Look, block_size, draw_lines, drawable
from judgerlvr.reporting.runs import Run
from judgerlvr.reporting.same_time import beside
from judgerlvr.reporting.words import reason_word
from judgerlvr.runs import metrics
from judgerlvr.runs.metrics import Metric, StepRow

STEPS = "steps from the base model"
TOKENS = "generated tokens from the base model"
Reader = Callable[[StepRow], float | None]


@dataclass(frozen=True)
class Curve:
    """One figure: a value of each step of some runs. ``stage`` leaves other stages out."""

    title: str
    value: Reader
    label: str
    caption: str
    axis: str = STEPS
    stage: str = ""
    log: bool = False


def reader(metric: Metric, part: str = "") -> Reader:
    """The value of a metric, or of one part of a family."""
    name = metric.name.format(part)
    return lambda row: row.values.get(name)


def held_out_accuracy(row: StepRow) -> float | None:
    """Mean of the held-out accuracies of a step over its sets, None at steps without validation."""
    values = list(row.family(metrics.HELDOUT_ACCURACY).values())
    return fmean(values) if values else None


VERDICTS = "In the judging stage this is the accuracy of verdicts."
# As ``runs.metrics`` counts the lengths of training.
OUTCOMES = (
    ("correct", "correct"),
    ("wrong", "neither correct nor truncated"),
    ("truncated", "truncated, correct samples too"),
)
ACCURACY_AND_LENGTH = (
    Curve("Accuracy over steps", reader(metrics.ACCURACY), "accuracy, share", f"All samples of a step. {VERDICTS}"),
    Curve(
        "Accuracy over tokens",
        reader(metrics.ACCURACY),
        "accuracy, share",
        f"All samples of a step. {VERDICTS}",
        axis=TOKENS,
    ),
    Curve(
        "Held-out accuracy", held_out_accuracy, "accuracy, share", "Steps with validation alone, mean over the sets."
    ),
    Curve("Length over steps", reader(metrics.MEAN_TOKENS), "mean tokens", "All samples of a step."),
    Curve("Length over tokens", reader(metrics.MEAN_TOKENS), "mean tokens", "All samples of a step.", axis=TOKENS),
    *(
        Curve(
            f"Length of {outcome} responses",
            reader(metrics.LENGTH_BY_OUTCOME, outcome),
            "mean tokens",
            f"Samples that were {meaning}.",
        )
        for outcome, meaning in OUTCOMES
    ),
    Curve("Truncated responses", reader(metrics.TRUNCATED), "share of samples", "Samples cut at the longest length."),
)
JUDGING = (
    Curve(
        "Judging on held-out solutions",
        reader(metrics.HELDOUT_BALANCED),
        "balanced accuracy, share",
        "Steps with validation alone. No solution is from the training data.",
    ),
    Curve(
        "Judging on training solutions",
        reader(metrics.JUDGE_CLASS, "balanced_accuracy"),
        "balanced accuracy, share",
        "Samples of the training steps.",
    ),
    Curve(
        "Solving while judging",
        reader(metrics.SOLVING_ACCURACY),
        "accuracy, share",
        "Held-out problems that the judge's policy solved, at steps with validation. The first point is the starting "
        "policy.",
    ),
    Curve(
        "Length of solutions while judging",
        reader(metrics.SOLVING_TOKENS),
        "mean tokens",
        "These solutions, truncated ones included.",
    ),
    Curve(
        "Truncated solutions while judging",
        reader(metrics.SOLVING_TRUNCATED),
        "share of solutions",
        "These solutions, where cut at the longest length of solving.",
    ),
    Curve(
        "Accepting verdicts",
        reader(metrics.ACCEPTED),
        "share of verdicts",
        "Verdicts that call a solution correct, among the readable verdicts of a training step.",
    ),
)
UPDATES = (
    Curve("Entropy", reader(metrics.ENTROPY), "nats a token", "Mean entropy of the policy at response tokens."),
    Curve("Gradient norm", reader(metrics.GRADIENT), "norm", "Before clipping, mean over the updates of a step."),
    Curve(
        "Mismatch of rollout and trainer",
        reader(metrics.MISMATCH),
        "mean |p rollout - p trainer|",
        "Mean difference of probabilities over the tokens of a step.",
        log=True,
    ),
)
SPEED = (
    Curve(
        "Speed",
        reader(metrics.THROUGHPUT),
        "tokens a second and device",
        "Prompt and response tokens of the batch over the seconds of the step.",
    ),
    Curve("Time of a step", reader(metrics.PHASE_SECONDS, "step"), "seconds", "All parts of a step."),
    Curve(
        "Time of sampling",
        reader(metrics.PHASE_SECONDS, "gen"),
        "seconds",
        "The part of a step that samples. A wait for the tokens of another run is included.",
    ),
    Curve(
        "Time of updates", reader(metrics.PHASE_SECONDS, "update_actor"), "seconds", "The part that updates weights."
    ),
    Curve(
        "Memory of the trainer",
        reader(metrics.TRAINER_MEMORY),
        "GiB",
        "Peak of the allocator in a trainer process. On a CPU this is 0.",
    ),
    Curve(
        "Memory of the machine",
        reader(metrics.HOST_MEMORY),
        "GiB",
        "Memory in use on the trainer's machine, other programs included.",
    ),
)
NOT_COMPARABLE_STEPS = "Some runs trained side by side on a CPU. Their seconds and speeds are not to be compared."
GROUPS = (
    ("Accuracy and length in training", ACCURACY_AND_LENGTH),
    ("Judging in training", JUDGING),
    ("Health of the updates", UPDATES),
    ("Speed and memory", SPEED),
)


def curve_groups(runs: Sequence[Run], looks: Looks) -> list[Group]:
    """All groups with a figure. A curve that no run measured is left out."""
    groups = [Group(title, _parts(runs, looks, curves)) for title, curves in GROUPS]
    groups.append(Group("Reasons of the grader in training", list(reason_figures(runs))))
    return [group for group in groups if group.parts]


def _parts(runs: Sequence[Run], looks: Looks, curves: Sequence[Curve]) -> list[Figure | Note]:
    """The figures, after a note where figures of seconds hold runs that trained side by side."""
    figures = list(_figures(runs, looks, curves))
    shared = curves is SPEED and figures and any(beside(run, runs) for run in runs)
    return [Note(NOT_COMPARABLE_STEPS), *figures] if shared else figures


def _figures(runs: Sequence[Run], looks: Looks, curves: Sequence[Curve]) -> Iterator[Figure | Note]:
    for curve in curves:
        lines = [line for line in _lines(runs, looks, curve) if line.points]
        missing = " ".join(unplaced(runs, curve))
        if any(y for line in lines for _, y in line.points):
            svg = draw_lines(lines, curve.axis, curve.label, log=curve.log)
            yield Figure(curve.title, svg, f"{caption(curve.caption, lines)} {missing}".strip(), summary(lines))
        elif missing:
            yield Note(f"{curve.title}: not drawn. {missing}")


def _lines(runs: Sequence[Run], looks: Looks, curve: Curve) -> Iterator[Line]:
    for run in runs:
        part, start = part_of(run, runs), _start(run, runs, curve.axis)
        name = part if part == run.name else f"{part} ({run.name})"
        points = [
            (start + x, y)
            for row in run.metrics
            if (y := curve.value(row)) is not None and (x := _place(row, curve.axis)) is not None and start is not None
        ]
        yield Line(name, looks.of(part), points)


def _start(run: Run, runs: Sequence[Run], axis: str) -> int | None:
    return cost_before(run, runs)[0] if axis == STEPS else tokens_before(run, runs)


def _place(row: StepRow, axis: str) -> float | None:
    """Where a step stands behind the start of its run. None without a count that can be drawn."""
    if axis == STEPS:
        return float(row.step)
    tokens = row.values.get(metrics.GENERATED_TOKENS.name)
    return tokens if tokens is not None and drawable(tokens) else None


def tokens_before(run: Run, runs: Sequence[Run]) -> int | None:
    """Tokens that the run's ancestors had generated. None where the last step of an ancestor has no finite count."""
    parent = parent_of(run, runs)
    if parent is None:
        return 0
    before, last = tokens_before(parent, runs), _place(parent.training[-1], TOKENS) if parent.training else None
    return None if before is None or last is None else before + int(last)


def unplaced(runs: Sequence[Run], curve: Curve) -> Iterator[str]:
    """What a figure over tokens leaves out, since a step without a count of tokens has no place."""
    for run in runs if curve.axis == TOKENS else ():
        measured = [row for row in run.metrics if curve.value(row) is not None]
        lost = sum(_place(row, TOKENS) is None for row in measured)
        if measured and tokens_before(run, runs) is None:
            yield f"Left out is {run.name}, since the tokens of the runs before are not known."
        elif lost:
            yield f"Left out are steps of {run.name} without a finite count of tokens (steps: {lost})."


def caption(text: str, lines: Sequence[Line]) -> str:
    """The caption, and what the figure does with values that cannot be drawn and with very many points."""
    broken = sum(not drawable(y) for line in lines for _, y in line.points)
    size = max((block_size(len(line.points)) for line in lines), default=1)
    more = [f"A cross marks a step without a finite value (steps: {broken})."] if broken else []
    more += [f"Each point is the mean of {size} steps."] if size > 1 else []
    return " ".join([text, *more])


def summary(lines: Sequence[Line]) -> str:
    """First and last value of each line in words."""
    ends = [(line.name, [y for _, y in line.points if drawable(y)]) for line in lines]
    return "; ".join(f"{name}: from {y[0]:.4g} to {y[-1]:.4g}" for name, y in ends if y) or "no finite value"


def reason_figures(runs: Sequence[Run]) -> Iterator[Figure]:
    """One figure a run: the share of each reason at each step."""
    looks = reason_looks(runs)
    for run in runs:
        counts = [(row.step, row.family(metrics.REASON)) for row in run.training]
        names = sorted({name for _, reasons in counts for name in reasons})
        if names:
            lines = [Line(reason_word(name), looks[name], _shares(name, counts)) for name in names]
            text = "Share of the samples of a step that the grader gave each reason to."
            svg = draw_lines(lines, "steps of the run", "share of samples")
            # One value that is not finite takes all shares of its step.
            yield Figure(f"Reasons of {run.name}", svg, caption(text, lines[:1]), summary(lines))


def reason_looks(runs: Sequence[Run]) -> dict[str, Look]:
    """One look a reason in the figures of all runs. Correct and wrong have the colours of such answers elsewhere."""
    names = sorted({name for run in runs for row in run.training for name in row.family(metrics.REASON)})
    own = {"correct": RIGHT, "wrong": WRONG}
    return {name: Look(place, own.get(name, "")) for place, name in enumerate(names)}


def _shares(name: str, counts: Sequence[tuple[int, dict[str, float]]]) -> list[tuple[float, float]]:
    totals = [(step, reasons.get(name, 0.0), sum(reasons.values())) for step, reasons in counts]
    return [(float(step), count / total) for step, count, total in totals if total]
