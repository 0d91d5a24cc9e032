"""The report's figures: curves through both stages, length histograms, accuracy at token caps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from judgerlvr.reporting.arms import BASE, Arm, colour_of, cost_before, part_of
from judgerlvr.reporting.html import Markup
from judgerlvr.reporting.runs import Run
from judgerlvr.reporting.svg import Series, histogram, line_plot
from judgerlvr.runs import metrics
from judgerlvr.runs.metrics import Metric, StepRow

STEPS_LABEL = "steps from the base model"
TOKENS_LABEL = "generated tokens from the base model"


def curves(runs: Sequence[Run]) -> Markup:
    """Accuracy, length, verdicts and entropy through both stages; the first two over steps and over tokens."""
    figures = []
    shown = (
        (metrics.ACCURACY, "accuracy of samples"),
        (metrics.MEAN_TOKENS, "mean tokens of samples"),
    )
    for metric, label in shown:
        for axis in (STEPS_LABEL, TOKENS_LABEL):
            figures.append(line_plot(_through_stages(runs, _reader(metric), axis), axis, label))
    figures.append(line_plot(_through_stages(runs, held_out, STEPS_LABEL), STEPS_LABEL, "held-out accuracy"))
    judged = [run for run in runs if run.stage == "judge"]
    balanced = _through_stages(judged, judge_accuracy, STEPS_LABEL)
    figures.append(line_plot(balanced, STEPS_LABEL, "judge balanced accuracy"))
    figures.append(
        line_plot(_through_stages(runs, _reader(metrics.ENTROPY), STEPS_LABEL), STEPS_LABEL, "entropy, nats a token")
    )
    note = "Dashed: the judging stage; its accuracy is that of verdicts, its lengths are those of judge responses."
    return Markup("".join(figures) + (f"<p class='note'>{note}</p>" if any(figures) else ""))


def held_out(row: StepRow) -> float | None:
    """Mean of the held-out accuracies of a step over its sets, None at steps without validation."""
    values = list(row.family(metrics.HELDOUT_ACCURACY).values())
    return sum(values) / len(values) if values else None


def judge_accuracy(row: StepRow) -> float | None:
    """Balanced accuracy of judging: on held-out prompts where the step has a validation, else on its own samples."""
    heldout = row.get(metrics.HELDOUT_BALANCED)
    return heldout if heldout is not None else row.family(metrics.JUDGE_CLASS).get("balanced_accuracy")


def _reader(metric: Metric) -> Callable[[StepRow], float | None]:
    return lambda row: row.values.get(metric.name)


def _through_stages(runs: Sequence[Run], value: Callable[[StepRow], float | None], axis: str) -> list[Series]:
    """One line a run, placed after what its ancestors had spent; judging is dashed."""
    lines = []
    for run in runs:
        before = cost_before(run, runs)
        points = [
            (x, y)
            for row in run.metrics
            if (y := value(row)) is not None and (x := _place(row, axis, before)) is not None
        ]
        name = f"{part_of(run, runs)} ({run.name})"
        colour = colour_of(part_of(run, runs))
        lines.append(Series(name, [x for x, _ in points], [y for _, y in points], colour, run.stage == "judge"))
    return lines


def _place(row: StepRow, axis: str, before: tuple[int, int]) -> float | None:
    if axis == STEPS_LABEL:
        return before[0] + float(row.step)
    tokens = row.values.get(metrics.GENERATED_TOKENS.name)
    return None if tokens is None else before[1] + tokens


def length_figures(arms: Sequence[Arm]) -> Markup:
    """Distribution of response lengths of each arm, all and right answers alone, and accuracy at token caps."""
    everything = histogram([(a.name, _lengths(a, False), a.colour) for a in arms], "tokens of a response")
    right = histogram([(a.name, _lengths(a, True), a.colour) for a in arms], "tokens of a right response")
    caps = [
        Series(arm.name, row["at_caps"]["caps"], row["at_caps"]["accuracy"], arm.colour)
        for arm in arms
        if (row := arm.measured.row("generate")) is not None and "at_caps" in row
    ]
    return Markup(everything + right + line_plot(caps, "cap on tokens", "accuracy, longer ones wrong"))


def _lengths(arm: Arm, right_only: bool) -> list[float]:
    return [
        float(record.tokens)
        for record in arm.measured.samples
        if record.kind == "generate" and record.decoding != "greedy" and record.tokens is not None
        if not right_only or record.score == 1.0
    ]


def one_of_each(arms: Sequence[Arm]) -> list[Arm]:
    """The first arm of each name: what fits in one figure when a part was run with several seeds."""
    return list({arm.name: arm for arm in reversed(arms)}.values())[::-1]


def main_arms(arms: Sequence[Arm]) -> list[Arm]:
    """Base and final models; evaluations along the way stay in the tables."""
    return one_of_each([arm for arm in arms if arm.name == BASE or " @ " not in arm.name])
