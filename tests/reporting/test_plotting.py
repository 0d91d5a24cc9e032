"""Figures: any values are drawn, names are text, colours are variables."""

import math
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgerlvr.reporting.arms import Looks
from judgerlvr.reporting.lengths import histogram
from judgerlvr.reporting.plotting import (
    MOST_POINTS,
    VARIABLES,
    Bar,
    Line,
    Look,
    averaged,
    block_size,
    draw_bars,
    draw_lines,
    short_number,
)

ANY = st.floats(allow_nan=True, allow_infinity=True)
HARD = [0.0, -0.0, 5e-324, 1e-300, 1e99, 1e300, -1e308, math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [HARD, [math.nan], [1.0], [1e99, -1e99], [1e-300, 1e-300], [5e-324, 1.0]], ids=str)
def test_lines_of_any_values_are_drawn(values, log):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = draw_lines([Line("a", Look(0), list(enumerate(values)))], "x", "y", log=log)
    assert not re.search(r"\b(nan|inf)\b", svg)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e12), ANY), min_size=1, max_size=6), st.booleans())
def test_lines_of_generated_values_are_drawn(points, log):
    assert draw_lines([Line("a", Look(0), points)], "x", "y", log=log).startswith("<svg")


@pytest.mark.parametrize(
    "bar", [(None, math.nan, math.nan), (0.5, math.nan, math.nan), (math.inf, 0.0, 1.0), (0.5, 0.6, 0.4)]
)
def test_bars_of_any_values_are_drawn(bar):
    assert draw_bars([("g", [Bar("a", Look(0), *bar)])], "y", 3).startswith("<svg")


def test_names_are_text_and_never_markup_or_mathematics():
    svg = draw_lines([Line("<b>&$x$", Look(0), [(0, 1), (1, 2)])], "<x>", "y_$2$")
    assert "<b>" not in svg and "<x>" not in svg
    assert "&lt;b&gt;&amp;$x$" in svg and "y_$2$" in svg


@pytest.mark.parametrize("values", [[1e-7, 3e-7], [2.7e-7], [1e-9, 0.5], [1.0, 10.0], [1e-280, 1e90]], ids=str)
def test_labels_of_a_logarithmic_axis_are_plain_numbers(values):
    svg = draw_lines([Line("a", Look(0), list(enumerate(values)))], "x", "y", log=True)
    labels = [label for label in re.findall(r">([^<>]+)</text>", svg) if label not in ("a", "x", "y")]
    assert not any("math" in label or "$" in label for label in labels)
    decades = [float(label) for label in labels if re.fullmatch(r"1e[+-]\d+", label)]
    assert min(decades) < max(values) and len(decades) >= 2


def test_every_colour_is_a_variable_of_the_style_sheet():
    bars = [Bar(str(place), Look(place), 0.5, 0.4, 0.6) for place in range(7)]
    svg = draw_bars([("g", bars)], "y", 3)
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    assert (
        {f"series-{place}" for place in range(7)}
        <= set(re.findall(r"var\(--([\w-]+)\)", svg))
        <= set(VARIABLES.values())
    )


def test_identifiers_of_two_figures_differ():
    one, two = (draw_lines([Line("a", Look(0), [(0, 1), (1, 2)])], "x", "y") for _ in range(2))
    assert not set(re.findall(r'id="([^"]+)"', one)) & set(re.findall(r'id="([^"]+)"', two))


@pytest.mark.parametrize("points", [1, MOST_POINTS, MOST_POINTS + 1, 1000])
def test_many_points_are_means_of_blocks(points):
    values = [(float(i), float(i * i % 7)) for i in range(points)]
    size = block_size(points)
    naive = [np.mean([y for _, y in values[start : start + size]]) for start in range(0, points, size)]
    _, y = averaged(values)
    assert len(y) <= MOST_POINTS
    assert y == pytest.approx(naive)


def test_histogram_shares_add_up_to_one():
    lines = histogram([("a", [1, 2, 3, 3]), ("b", [0])], Looks(), bins=3)
    for line in lines:
        assert sum(y for _, y in line.points[1:-1:2]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.1 + 0.2, "0.3"), (1.5e6, "1.5M"), (20000, "20k"), (0, "0"), (-3e9, "-3G")]
)
def test_short_numbers(value, shown):
    assert short_number(value) == shown
