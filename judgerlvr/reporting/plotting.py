"""Figures by matplotlib as inline SVG. Colours are placeholders that become variables of the style sheet.

So the same figure is readable on a light page, on a dark page and in print. Series differ by pattern, dash and marker
too, so that no figure needs colour vision.
"""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

SERIES = 7
# Patterns of straight lines are small. Dots and stars take 30 kB a figure.
HATCHES = ("", "//", "\\\\", "xx", "--", "++", "||")
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "*")
# Colours that no figure has otherwise. The style sheet says what the colours are.
INK, GRID, PAGE, RIGHT, WRONG = "#f0f10f", "#f0f20f", "#f0f30f", "#f0f40f", "#f0f50f"
VARIABLES = {INK: "ink", GRID: "line", PAGE: "page", RIGHT: "right", WRONG: "wrong"} | {
    f"#f0{i:02x}0f": f"series-{i}" for i in range(SERIES)
}
# Inches of 72 points. The page scales the drawing to the width that there is.
SIZE = (5.4, 3.3)
# Beyond this size a value cannot be drawn, and is marked as one that is not finite.
LARGEST = 1e100
# A logarithmic axis below this value would reach numbers that a float does not hold in full.
SMALLEST = 1e-290
# Markers of more points than this would run together.
MOST_MARKERS = 40
# More points than this are averaged in blocks.
MOST_POINTS = 400

RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "judgerlvr",
    "text.parse_math": False,
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": GRID,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "hatch.linewidth": 0.7,
    "hatch.color": PAGE,
}


@dataclass(frozen=True)
class Look:
    """Colour, pattern, dash and marker of one series, by its place. ``own`` is a colour with a meaning of its own."""

    place: int
    own: str = ""

    @property
    def colour(self) -> str:
        return self.own or f"#f0{self.place % SERIES:02x}0f"

    @property
    def _pattern(self) -> int:
        """Beyond the last colour a colour comes again, with another pattern."""
        return (self.place + self.place // SERIES) % SERIES

    @property
    def hatch(self) -> str:
        return HATCHES[self._pattern]

    @property
    def dash(self) -> object:
        return DASHES[self._pattern]

    @property
    def marker(self) -> str:
        return MARKERS[self._pattern]


@dataclass(frozen=True)
class Line:
    """One named line. Points whose value is not finite are marked with crosses at the bottom of the figure."""

    name: str
    look: Look
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Bar:
    """One bar with the ends of its whisker. A bar without a value leaves its place empty."""

    name: str
    look: Look
    value: float | None
    low: float = math.nan
    high: float = math.nan


def draw_lines(lines: Sequence[Line], x_label: str, y_label: str, log: bool = False, steps: bool = False) -> Markup:
    """Lines over shared axes. ``log`` takes a logarithmic axis where all values are positive."""

    def paint(axes: Axes) -> None:
        for line in lines:
            _paint_line(axes, line, steps)
        values = [y for line in lines for _, y in line.points if drawable(y)]
        if log and values and min(values) > SMALLEST:
            _set_decades(axes, min(values), max(values))
        elif values:
            axes.set_ylim(bottom=min(0.0, *values) * 1.05)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))

    return _draw(paint)


def _set_decades(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis of whole decades, with plain text at each."""
    bottom = math.floor(math.log10(low))
    top = max(math.ceil(math.log10(high)), bottom + 1)
    axes.set_yscale("log")
    axes.set_ylim(10.0**bottom, 10.0**top)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def short_number(value: float) -> str:
    """1500000 as 1.5M, 0.30000000000000004 as 0.3."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def _paint_line(axes: Axes, line: Line, steps: bool) -> None:
    x, y = averaged(line.points)
    marker = line.look.marker if len(x) <= MOST_MARKERS and not steps else ""
    style: Any = {"linestyle": line.look.dash, "marker": marker, "markersize": 3.5, "linewidth": 1.5}
    axes.plot(x, y, color=line.look.colour, label=line.name, **style)
    broken = [place for place, value in line.points if not drawable(value)]
    if broken:
        axes.plot(broken, [0.03] * len(broken), "x", color=line.look.colour, transform=axes.get_xaxis_transform())


def drawable(value: float) -> bool:
    return math.isfinite(value) and abs(value) < LARGEST


def averaged(points: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Places and values, nan where a value cannot be drawn, as means of blocks where there are many points."""
    table = np.array([(x, y if drawable(y) else math.nan) for x, y in points], dtype=np.float64).reshape(-1, 2)
    size = block_size(len(table))
    blocks = [table[start : start + size].mean(axis=0) for start in range(0, len(table), size)]
    return (np.array([x for x, _ in blocks]), np.array([y for _, y in blocks]))


def block_size(points: int) -> int:
    """How many points a drawn point stands for."""
    return max(1, math.ceil(points / MOST_POINTS))


def draw_bars(groups: Sequence[tuple[str, Sequence[Bar]]], y_label: str, digits: int) -> Markup:
    """Groups of bars side by side with whiskers and values. All groups hold the same names in the same order."""

    def paint(axes: Axes) -> None:
        for place, (_, bars) in enumerate(groups):
            for index, bar in enumerate(bars):
                _paint_bar(axes, bar, place, index, len(bars), digits)
        axes.set_xticks(range(len(groups)), [name for name, _ in groups])
        axes.set_ylabel(y_label)
        axes.grid(axis="x", visible=False)
        axes.margins(y=0.12)

    return _draw(paint)


def _paint_bar(axes: Axes, bar: Bar, group: int, index: int, count: int, digits: int) -> None:
    width = 0.84 / count
    x = group + (index - (count - 1) / 2) * width
    label = bar.name if group == 0 else None
    known = bar.value is not None and drawable(bar.value)
    height = bar.value if known and bar.value is not None else 0.0
    axes.bar(x, height, width * 0.92, color=bar.look.colour, hatch=bar.look.hatch, label=label)
    if not known:
        axes.text(x, 0, "not run", ha="center", va="bottom", rotation=90, fontsize=8)
        return
    top = height
    if drawable(bar.low) and drawable(bar.high):
        whisker: Any = {"linewidth": 1.4, "color": INK, "zorder": 3}
        axes.errorbar(x, height, [[max(0.0, height - bar.low)], [max(0.0, bar.high - height)]], capsize=3, **whisker)
        top = max(height, bar.high)
    shift: Any = {"xytext": (0, 3), "textcoords": "offset points"}
    turned: Any = {"rotation": 90} if count > SERIES else {}
    axes.annotate(f"{height:.{digits}f}", (x, top), ha="center", fontsize=8, **shift, **turned)


# Identifiers of one figure must not be those of another figure.
_numbers = itertools.count()


def _draw(paint: Callable[[Axes], None]) -> Markup:
    with mpl.rc_context(RC):
        drawing = Drawing(figsize=SIZE, layout="constrained")
        axes = drawing.add_subplot()
        paint(axes)
        handles, names = axes.get_legend_handles_labels()
        if handles:
            drawing.legend(handles, names, loc="outside lower center", ncols=2, handlelength=3.2, fontsize=9)
        file = io.StringIO()
        with _plain_numbers():
            FigureCanvasSVG(drawing).print_svg(file, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return to_inline(file.getvalue(), f"figure-{next(_numbers)}")


@contextmanager
def _plain_numbers() -> Iterator[None]:
    """A value of the data can be so large that a difference of two overflows, which the drawing survives."""
    with np.errstate(over="ignore", invalid="ignore"):
        yield


def to_inline(svg: str, name: str) -> Markup:
    """matplotlib's file as an element of the page.

    The element has no reference to elsewhere, its identifiers are its own, and its colours are variables.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg[^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true" focusable="false">', svg, count=1)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s?font-family: [^;]*;| transform=\"rotate\(-0 [^\"]*\"", "", svg)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return Markup(re.sub(r"\n\s*", "\n", svg).strip())
