"""The page for people who see little or nothing: order, names, tables, contrast."""

import math
import re
from itertools import pairwise

import pytest

from judgerlvr.reporting.page import asset
from judgerlvr.reporting.plotting import DASHES, HATCHES, MARKERS, SERIES

STYLE = asset("style.css")
BACKGROUNDS = ("page", "panel")
NEEDED = 4.5


def test_the_page_names_its_language_and_has_one_title(tree):
    assert tree.of("html")[0].attributes["lang"] == "en"
    assert len(tree.of("title")) == len(tree.of("h1")) == len(tree.of("main")) == 1


def test_headings_go_down_one_level_at_a_time(tree):
    levels = [int(e.tag[1]) for e in tree.of("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_heading_has_text(tree):
    assert all(e.text.strip() for e in tree.of("h1", "h2", "h3"))


def test_identifiers_are_unique(tree):
    names = [e.attributes["id"] for e in tree.all if "id" in e.attributes]
    assert len(names) == len(set(names))


def test_every_link_leads_somewhere_on_the_page(tree):
    names = {e.attributes.get("id") for e in tree.all}
    assert {e.attributes["href"][1:] for e in tree.of("a", "use")} <= names


def test_every_table_has_a_caption_and_headers_with_scope(tree):
    assert all(e.children[0].tag == "caption" and e.children[0].text for e in tree.of("table"))
    assert {e.attributes.get("scope") for e in tree.of("th")} == {"col", "row"}
    assert all(e.children[0].attributes["scope"] == "row" for e in tree.of("tr") if e.inside("tbody"))


def test_every_row_has_as_many_cells_as_the_head(tree):
    for table in tree.of("table"):
        rows = [e for e in tree.of("tr") if table in e.ancestors]
        assert len({len(row.children) for row in rows}) == 1, table.children[0].text


def test_every_figure_has_a_text_in_its_place_and_a_caption(tree):
    figures = tree.of("figure")
    assert len(figures) > 10
    for figure in figures:
        image, caption = figure.children
        assert image.attributes["role"] == "img"
        assert len(image.attributes["aria-label"]) > 20
        assert caption.tag == "figcaption" and len(caption.text) > 20
    assert all(e.attributes["aria-hidden"] == "true" for e in tree.of("svg"))


def test_every_region_that_scrolls_can_be_reached_and_has_a_name(tree):
    scrolling = [e for e in tree.of("div") if e.attributes.get("class") in ("wide", "columns")]
    assert scrolling
    assert all(e.attributes["tabindex"] == "0" and e.attributes["aria-label"] for e in scrolling)


def test_every_input_of_the_page_has_a_label(tree):
    """The script puts every field into a label too."""
    assert all(e.inside("label") for e in tree.of("input", "select", "textarea"))
    assert "label.append(field)" in asset("page.js")


def test_every_button_has_a_name(tree):
    assert all(e.text.strip() for e in tree.of("button"))


def themes():
    """Variables of the style sheet by theme: light, dark, print."""
    found = re.findall(r"(?:@media ([^{]+)\{\s*)?:root \{(.*?)\}", STYLE, re.DOTALL)
    return {
        (where.strip() or "light"): dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for where, block in found
    }


def luminance(colour):
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, two):
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_by_hand():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_there_are_three_themes_with_the_same_variables():
    assert set(themes()) == {"light", "(prefers-color-scheme: dark)", "print"}
    assert len({tuple(values) for values in themes().values()}) == 1


@pytest.mark.parametrize("theme", themes())
def test_every_colour_of_text_and_of_series_is_readable(theme):
    colours = themes()[theme]
    used = {name for name in colours if name not in (*BACKGROUNDS, "line")}
    assert {f"series-{place}" for place in range(SERIES)} <= used
    low = {
        (name, ground): contrast(colours[name], colours[ground])
        for name in used
        for ground in BACKGROUNDS
        if contrast(colours[name], colours[ground]) < NEEDED
    }
    assert low == {}


def lab(colour):
    """CIE Lab of a colour, under daylight."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    xyz = (
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883,
    )
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("theme", themes())
def test_no_arm_has_the_colour_of_right_or_wrong_answers(theme):
    """A distance of 2 is just seen. Beyond 25 two colours have different names."""
    colours = themes()[theme]
    others = [f"series-{place}" for place in range(SERIES)] + ["stamp"]
    near = {
        (tone, name): math.dist(lab(colours[tone]), lab(colours[name]))
        for tone in ("right", "wrong")
        for name in others
    }
    assert {pair for pair, distance in near.items() if distance < 25} == set()


def test_distance_of_colours_by_hand():
    assert math.dist(lab("#000000"), lab("#ffffff")) == pytest.approx(100, abs=0.1)


def test_the_script_colours_correct_responses_alone():
    """Gained and lost problems are another meaning, and stand as words."""
    assert re.findall(r'"(?:right|wrong)"', asset("page.js")) == ['"right"', '"wrong"']
    assert 'row.outcome === "correct" ? "right" : "wrong"' in asset("page.js")


def test_rules_take_colours_from_the_variables_alone():
    rules = re.sub(r":root \{.*?\}", "", STYLE, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-f]{3,8}\b|rgb|opacity", rules)
    foregrounds = set(re.findall(r"(?<![\w-])color: ([^;]+);", rules))
    assert all(re.fullmatch(r"var\(--(ink|muted|link|right|wrong|stamp)\)", value) for value in foregrounds)
    grounds = set(re.findall(r"background: ([^;]+);", rules))
    assert grounds == {f"var(--{name})" for name in BACKGROUNDS}


def test_series_differ_without_colour():
    assert len(set(HATCHES)) == len(set(map(str, DASHES))) == len(set(MARKERS)) == SERIES


def test_the_first_column_stays_in_place_and_nothing_else_is_wider_than_the_screen():
    assert re.search(r"tr > :first-child \{[^}]*position: sticky; left: 0;", STYLE)
    assert re.search(r"\.wide \{[^}]*overflow-x: auto", STYLE)
