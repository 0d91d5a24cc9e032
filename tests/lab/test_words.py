"""The words of the page: each name in a table has a row that says truly what the name stands for."""

import re

import pytest

from benchmarks.lab import bases, coverage
from benchmarks.lab.arms import StepKind, control_arms, dose_arms, main_arms, most_arms
from benchmarks.lab.cells import DEMO, STEPS, chain_cell, demo_cell, setting_of
from benchmarks.lab.page import table
from judgerlvr.config.load import ROOT

PAGE = (ROOT / "docs" / "when-it-pays.md").read_text()
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
ROWS = [line.strip("| ").split(" | ") for line in PAGE.partition("## Words")[2].partition("\n## ")[0].split("\n| ")[3:]]
MEANINGS = {name.strip("`"): meaning for names, meaning in ROWS for name in names.split(", ")}
ARMS = {arm.name: arm for make in (control_arms, dose_arms, most_arms, main_arms) for arm in make(STEPS)}


def column(name, lines):
    head, _, *rows = [line.strip("| ").split(" | ") for line in lines]
    return {row[head.index(name)] for row in rows}


@pytest.fixture(scope="module")
def compared():
    return table()


def test_each_arm_of_the_table_has_its_meaning(compared):
    assert column("arm", compared) | {"vanilla"} <= set(MEANINGS)


def test_each_part_of_the_name_of_a_cell_has_its_meaning(compared):
    """The name of a gate cell begins with two words."""
    names = {setting_of(name) for name in column("cell", compared)} | set(coverage.planned())
    parts = {part for name in names for part in re.sub("^gate-", "gate_", name).split("-")}
    assert {part.replace("_", "-") for part in parts} <= set(MEANINGS)
    assert "fresh-8" in MEANINGS["instance"]


@pytest.mark.parametrize("name", ["judge-20", "judge-40"])
def test_the_steps_of_judging(name):
    assert (ARMS[name].stages[0].steps, STEPS) == (int(name[-2:]), 120)
    assert MEANINGS[name] == "20 or 40 steps of judging, then solving"
    assert "120 steps in all" in MEANINGS["arm"]


@pytest.mark.parametrize(
    ("name", "how_many"), [("judge-until", (1.0, "all eight")), ("judge-most", (0.75, "six of the"))]
)
def test_the_dose_that_ends_judging(name, how_many):
    share, words = how_many
    judging = ARMS[name].stages[0]
    assert (judging.until_learnt, judging.share_of_runs) == (0.25, share)
    assert words in MEANINGS[name]
    assert ".25 of the facts" in MEANINGS[name]


def test_the_price_of_length():
    """The figure stood in the code alone."""
    prices = [ARMS[name].penalty for name in ("penalty-low", "penalty-high")]
    assert f"a right answer of 100 tokens earns {prices[0]} or {prices[1]} less" in MEANINGS["penalty-low"]


def test_the_two_parts_exchanged():
    first, last = (stage.pattern[0] for stage in ARMS["generate-first"].stages)
    assert (first, last) == (StepKind.GENERATE, StepKind.JUDGE)


def test_the_rates():
    assert chain_cell("chain", "92", "05").rates == (5e-5, 1e-4)
    assert "5e-5 or 1e-4" in MEANINGS["rate"]


def test_a_refused_value_is_replaced_in_the_chain_alone():
    assert [chain_cell(kind, "92", "05").world.replaces for kind in ("chain", "twin")] == [True, False]
    assert [round(100 * chain_cell("chain", check, "05").world.check_right) for check in ("88", "92", "95")] == [
        88,
        92,
        95,
    ]


def test_how_often_measured_bases_are_right():
    rows = [row for line in bases.table()[2:] if (row := line.strip("| ").split(" | "))[1] != DEMO]
    right = {start: [] for start in ("05", "15")}
    for _, cell, accuracy, *_ in rows:
        right[setting_of(cell)[-2:]].append(round(100 * float(accuracy)))
    told = f"{min(right['05'])} to {max(right['05'])} % for `05`, and {right['15'][0]} % for `15`"
    assert (len(set(right["15"])), told in MEANINGS["05"]) == (1, True)


def test_the_number_of_the_demos_cell_is_an_accuracy_of_its_bases():
    least, most = demo_cell().base_accuracy
    assert f"accepted from {100 * least:.0f} to {100 * most:.0f} %" in MEANINGS["demo"]
    assert least <= int(DEMO.rpartition("-")[2]) / 100 <= most
