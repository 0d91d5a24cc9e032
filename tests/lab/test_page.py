"""The docs pages and the README against the records of the lab."""

import re

import numpy as np
import pytest

from benchmarks.lab import bases, coverage, dose, pages
from benchmarks.lab.page import results
from benchmarks.lab.pairs import end, paired_curves
from benchmarks.lab.statistics import estimate
from judgerlvr.config.load import ROOT

NUMBER = r"([-+]?\d+\.\d)"
INTERVAL = re.compile(rf"{NUMBER}(?: points| %)?(?: tokens)? \[{NUMBER}, {NUMBER}\]")


@pytest.fixture(scope="module")
def tables():
    """The computed tables of each page."""
    return {name: [table() for table in made] for name, made in pages.TABLES.items()}


def page(name="when-it-pays.md"):
    return (ROOT / "docs" / name).read_text()


def prose(text):
    return "\n".join(line for line in text.split("\n") if not line.startswith("| 20"))


@pytest.mark.parametrize("name", pages.TABLES)
def test_the_tables_are_computed_from_the_records(tables, name):
    """``python -m benchmarks.lab.pages`` writes them."""
    assert pages.refreshed(page(name), tables[name]) == page(name)


def test_a_table_is_put_in_the_place_of_the_old_one():
    text = "a\n| x |\n| --- |\n| old |\n\n| x |\n| second |\nb"
    assert pages.refreshed(text, [["| x |", "| new |"], ["| x |"]]) == "a\n| x |\n| new |\n\n| x |\nb"


def intervals(text):
    return {tuple(float(value) for value in found) for found in INTERVAL.findall(text)}


def pair_of(cell, arm):
    octets = next(found for _, found in results() if found.name == cell).octets
    return paired_curves(octets[arm], octets["vanilla"])


def fewer_tokens_of_instance_8():
    pairs = pair_of("chain-92-05-fresh-8", "judge-until")
    found = estimate([end(mine, "tokens") - end(theirs, "tokens") for mine, theirs in pairs])
    return tuple(round(value, 1) for value in (found.mean, found.low, found.high))


@pytest.mark.parametrize("file", ["docs/when-it-pays.md", "README.md"])
def test_every_interval_of_the_prose_stands_in_a_table(tables, file):
    known = intervals("\n".join(line for made in tables.values() for table in made for line in table))
    text = (ROOT / file).read_text()
    about = text if file.startswith("docs") else text.split("## ")[0]
    found = intervals(prose(about))
    assert found, file
    assert found <= known | {fewer_tokens_of_instance_8()}


def test_four_runs_of_the_twin_save_a_third():
    pairs = pair_of("twin-92-05-fresh-4", "penalty-low")
    saved = sorted(1 - end(mine, "tokens") / end(theirs, "tokens") for mine, theirs in pairs)
    assert (len(saved), np.round(saved[4:], 1).tolist()) == (8, [0.3] * 4)
    assert saved[3] < 0.02


def test_the_pages_sentence_on_doses_counts_the_runs():
    runs = list(dose.doses())
    low, high = ([run.left for run in runs if (run.learnt >= 0.25) is above] for above in (False, True))
    sentence = f"Below .25, {sum(low)} of {len(low)} runs leave the habit. From .25 on, {sum(high)} of {len(high)} do."
    assert sentence in page()


def test_the_pages_sentence_on_cells_counts_them():
    assert coverage.sentence() in page()
    ran = sum(bool(coverage.arms_run(cell)) for cell in coverage.planned())
    assert f"has run {ran} of {len(coverage.planned())} planned cells" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("index", [0, 1])
def test_the_diagnosis_tells_what_differs_in_the_twin(index):
    assert bases.sentences()[index] in page("diagnosis.md")
