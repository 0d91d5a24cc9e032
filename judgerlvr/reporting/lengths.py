"""Lengths of evaluated responses: a table by outcome, distributions, and accuracy at token caps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from judgerlvr.evaluation.records import Record
from judgerlvr.evaluation.summary import OUTCOMES
from judgerlvr.reporting.arms import Arm, Looks, main_arms, one_of_each
from judgerlvr.reporting.evaluations import Length, Result
from judgerlvr.reporting.parts import ABSENT, Cell, Figure, Table, count, number
from judgerlvr.reporting.plotting import Line, draw_lines
from judgerlvr.reporting.words import outcome_word

BINS = 24
HEAD = ("arm", "set", *map(outcome_word, OUTCOMES), "thinking part", "solution part", "area under caps")


def length_table(arms: Sequence[Arm]) -> Iterator[Table]:
    """Mean tokens by outcome and by part. A shorter mean can come from wrong long answers that vanished."""
    rows = [_row(arm, row) for arm in arms for row in arm.measured.rows("generate", greedy=False) if row.tokens]
    if rows:
        note = "Mean tokens, with median and number of samples below. Area: mean accuracy over all caps on tokens."
        yield Table("Tokens of sampled solutions by outcome and by part", HEAD, rows, note)


def _row(arm: Arm, row: Result) -> list[Cell]:
    lengths = [*(row.tokens.get(name) for name in OUTCOMES), row.thinking.get("all"), row.solution.get("all")]
    area = row.caps.area if row.caps else None
    return [Cell(arm.name), Cell(row.set_name), *map(_length, lengths), number(area)]


def _length(length: Length | None) -> Cell:
    if length is None:
        return ABSENT
    if length.mean is None:
        return Cell("none", tone="absent")
    return Cell(f"{length.mean.value:.1f}", f"median {length.median:g}, {count(length.count).text} samples")


def length_figures(arms: Sequence[Arm], looks: Looks) -> Iterator[Figure]:
    """Distributions of all and of right responses, and accuracy at token caps, of one arm a part."""
    shown = one_of_each(main_arms(arms))
    kinds = (("all solutions", lambda record: True), ("right solutions", lambda record: record.score == 1.0))
    for what, keep in kinds:
        groups = [(arm.name, _lengths(arm, keep)) for arm in shown]
        lines = histogram([(name, values) for name, values in groups if values], looks)
        if lines:
            svg = draw_lines(lines, "tokens of a response", "share of samples", steps=True)
            text = f"Shares of the sampled responses of each arm, in {BINS} classes of equal width."
            yield Figure(f"Lengths of {what}", svg, text, _means(groups))
    yield from _caps(shown, looks)


def _lengths(arm: Arm, keep: Callable[[Record], bool]) -> list[int]:
    return [
        record.tokens
        for record in arm.measured.samples
        if record.kind == "generate" and record.decoding != "greedy" and record.tokens is not None and keep(record)
    ]


def _means(groups: Sequence[tuple[str, Sequence[int]]]) -> str:
    return "; ".join(f"{name}: mean {sum(values) / len(values):.1f} tokens" for name, values in groups if values)


def histogram(groups: Sequence[tuple[str, Sequence[int]]], looks: Looks, bins: int = BINS) -> list[Line]:
    """Outlines of distributions over shared classes, each as shares of its own group. No group is empty."""
    width = (max((max(values) for _, values in groups), default=0) or 1) / bins
    return [Line(name, looks.of(name), _outline(values, width, bins)) for name, values in groups]


def _outline(values: Sequence[int], width: float, bins: int) -> list[tuple[float, float]]:
    counts = [0] * bins
    for value in values:
        counts[min(int(value / width), bins - 1)] += 1
    steps = [(edge * width, n / len(values)) for place, n in enumerate(counts) for edge in (place, place + 1)]
    return [(0.0, 0.0), *steps, (bins * width, 0.0)]


def _caps(arms: Sequence[Arm], looks: Looks) -> Iterator[Figure]:
    known = [(arm.name, row.caps) for arm in arms if (row := arm.measured.row("generate")) and row.caps]
    if known:
        lines = [Line(name, looks.of(name), list(zip(caps.caps, caps.accuracy, strict=True))) for name, caps in known]
        text = "Accuracy of the sampled rows if each response longer than the cap counted as wrong."
        svg = draw_lines(lines, "cap on tokens", "accuracy, share")
        areas = "; ".join(f"{name}: area {caps.area:.3f}" for name, caps in known)
        yield Figure("Accuracy at caps on tokens", svg, text, areas)
