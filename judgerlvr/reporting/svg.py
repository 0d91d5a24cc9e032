"""Small inline SVG plots: lines, step histograms; no script, no style sheet from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 14, 40
# Distinguishable without colour vision too (Okabe and Ito), and on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5f5f5f")


@dataclass(frozen=True)
class Series:
    """One named line. ``dashed`` marks the judging stage in plots through both stages."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dashed: bool = False


@dataclass(frozen=True)
class Axis:
    """A linear scale from data to pixels, with its ticks."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        step = nice_step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def nice_step(raw: float) -> float:
    """The largest of 1, 2, 5 x 10^k that is not above ``raw``, so that ticks read well."""
    power = 10.0 ** math.floor(math.log10(raw))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= raw * (1 + 1e-9))


def line_plot(series: Sequence[Series], x_label: str, y_label: str, from_zero: bool = True) -> str:
    """Lines over a shared pair of axes with a legend; "" if no series has a point."""
    drawn = [line for line in series if len(line.x)]
    if not drawn:
        return ""
    x_axis = _axis([x for line in drawn for x in line.x], LEFT, WIDTH - RIGHT, False)
    y_axis = _axis([y for line in drawn for y in line.y], HEIGHT - BOTTOM, TOP, from_zero)
    marks = [_line(line, x_axis, y_axis) for line in drawn]
    return _figure([*_grid(x_axis, y_axis, x_label, y_label), *marks], _legend(drawn), f"{y_label} over {x_label}")


def histogram(groups: Sequence[tuple[str, Sequence[float], str]], x_label: str, bins: int = 24) -> str:
    """Outlines of several distributions over shared bins, each as shares of its own group."""
    drawn = [group for group in groups if len(group[1])]
    if not drawn:
        return ""
    top = max(max(values) for _, values, _ in drawn) or 1.0
    width = top / bins
    series = [Series(name, *_steps(values, width, bins), colour) for name, values, colour in drawn]
    return line_plot(series, x_label, "share of samples")


def _steps(values: Sequence[float], width: float, bins: int) -> tuple[list[float], list[float]]:
    counts = [0] * bins
    for value in values:
        counts[min(int(value / width), bins - 1)] += 1
    x = [edge * width for index in range(bins) for edge in (index, index + 1)]
    y = [count / len(values) for count in counts for _ in range(2)]
    return [0.0, *x, bins * width], [0.0, *y, 0.0]


# A smaller range cannot be divided into ticks without underflow.
TINY = 1e-290


def _axis(values: Sequence[float], start: float, end: float, from_zero: bool) -> Axis:
    low, high = min(values), max(values)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < TINY:
        low, high = low - 0.5, high + 0.5
    step = nice_step((high - low) / 5)
    rounded_high = math.ceil(high / step - 1e-9) * step
    return Axis(math.floor(low / step + 1e-9) * step, rounded_high, start, end)


def _line(line: Series, x_axis: Axis, y_axis: Axis) -> str:
    points = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in zip(line.x, line.y, strict=True))
    dash = ' stroke-dasharray="5 3"' if line.dashed else ""
    title = f"<title>{escape(line.name)}</title>"
    if len(line.x) == 1:
        x, y = points.split(",")
        return f'<circle cx="{x}" cy="{y}" r="3" fill="{line.colour}">{title}</circle>'
    stroke = f'fill="none" stroke="{line.colour}" stroke-width="1.8"{dash}'
    return f'<polyline points="{points}" {stroke}>{title}</polyline>'


def _grid(x_axis: Axis, y_axis: Axis, x_label: str, y_label: str) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for tick in y_axis.ticks:
        y = y_axis.at(tick)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short_number(tick)}</text>')
    for tick in x_axis.ticks:
        parts.append(
            f'<text x="{x_axis.at(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{short_number(tick)}</text>'
        )
    middle_x, middle_y = (LEFT + right) / 2, (TOP + bottom) / 2
    parts.append(f'<text x="{middle_x}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
    turn = f'transform="translate(12 {middle_y}) rotate(-90)"'
    return [*parts, f'<text {turn} text-anchor="middle">{escape(y_label)}</text>']


def short_number(value: float) -> str:
    """1500000 as 1.5M, 0.30000000000000004 as 0.3."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}" if abs(value) > 1e-12 else "0"


def _legend(series: Sequence[Series]) -> str:
    rows = [
        f'<span><i style="border-top:3px {"dashed" if line.dashed else "solid"} {line.colour}"></i>'
        f"{escape(line.name)}</span>"
        for line in series
    ]
    return f'<div class="legend">{"".join(rows)}</div>'


def _figure(parts: Sequence[str], legend: str, label: str) -> str:
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label, quote=True)}"'
    return f"<figure><svg {box}>{''.join(parts)}</svg>{legend}</figure>"
