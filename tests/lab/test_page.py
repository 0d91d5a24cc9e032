"""The docs pages against the records of the lab."""

import math
import re

import numpy as np
import pytest

from benchmarks.lab import bases, coverage, dose, pages
from benchmarks.lab.command import BadInput
from benchmarks.lab.ends import log_ratio, tokens_that_end
from benchmarks.lab.measured import RESULTS
from benchmarks.lab.page import results
from benchmarks.lab.pairs import accuracy_difference, end, paired_curves
from judgerlvr.config.load import ROOT
from tests.lab.headlines import gate_at

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


def test_a_page_without_the_table_is_told():
    with pytest.raises(BadInput, match="no table that begins"):
        pages.refreshed("| x |\n", [["| x |"], ["| x |"]])


HEADS = {
    "when-it-pays.md": [
        *["facts learnt at the hand-over, runs, left the rechecks"] * 3,
        "record, cell, arm, pairs, tokens at equal steps",
        "record, cell, contrast",
        "world, arm, bases",
        "instance, arm, runs that left the rechecks",
        "record, cell, arm, pairs, points",
    ],
    "when-it-pays-tables.md": [
        "record, cell, arm, pairs, greedy: points",
        "record, cell, arm, runs, base",
        "record, cell, arm, pairs, sampled M, candidates M",
        "record, cell, arm, pairs, t, t, by Holm",
        "cell, octets, their seconds",
        "record, cell, vanilla, GPU s",
        "record, cell, arm, what there is",
    ],
    "diagnosis.md": ["record, cell, pass@1"],
}


@pytest.mark.parametrize("name", HEADS)
def test_no_table_is_left_to_grow_old(tables, name):
    """A table that ``pages`` no longer knew would grow old in silence."""
    computed = [", ".join(table[0].strip("| ").split(" | ")) for table in tables[name]]
    assert len(computed) == len(HEADS[name])
    assert [one.startswith(head) for one, head in zip(computed, HEADS[name], strict=True)] == [True] * len(computed)


def test_the_command_writes_a_table_that_has_grown_old(tmp_path, monkeypatch):
    (tmp_path / "a.md").write_text("before\n| x |\n| old |\nafter\n")
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    monkeypatch.setattr(pages, "TABLES", {"a.md": (lambda: ["| x |", "| new |"],)})
    assert pages.main([]) == 0
    assert (tmp_path / "a.md").read_text() == "before\n| x |\n| new |\nafter\n"


def intervals(text):
    return {tuple(float(value) for value in found) for found in INTERVAL.findall(text)}


def pair_of(cell, arm):
    octets = next(found for _, found in results() if found.name == cell).octets
    return paired_curves(octets[arm], octets["vanilla"])


def rounded(found):
    return tuple(round(value, 1) for value in (found.mean, found.low, found.high))


def gate(step, rate):
    found = gate_at(step, rate)
    return tuple(round(100 * value, 1) for value in (found.mean, found.low, found.high))


GATE_STEPS = [(50, 5e-5)]  # which the page names


def test_every_interval_of_the_prose_stands_in_a_table(tables):
    """``test_headlines.py`` says in which line, and has the README."""
    known = intervals("\n".join(line for made in tables.values() for table in made for line in table))
    # The sentence on verl has a test beside its own record.
    found = intervals(prose(re.sub("By the product's own engine [^|]*", "", page())))
    assert found
    assert found <= known | {gate(*at) for at in GATE_STEPS}


def test_four_runs_of_the_twin_save_a_third():
    pairs = pair_of("twin-92-05-fresh-4", "penalty-low")
    saved = sorted(1 - end(mine, "tokens") / end(theirs, "tokens") for mine, theirs in pairs)
    assert (len(saved), np.round(saved[4:], 1).tolist()) == (8, [0.3] * 4)
    assert saved[3] < 0.02


@pytest.mark.parametrize("step", [40, 50, 60, 80, 120])
def test_the_ninth_record_has_the_gate_world_at_a_step(step):
    text = (RESULTS / "2026-11-30-h200-ninth" / "README.md").read_text()
    (line,) = [line for line in text.split("\n") if line.startswith(f"| {step} |")]
    found = [tuple(map(float, values)) for values in INTERVAL.findall(line)]
    assert found == [gate(step, rate) for rate in (5e-5, 1e-4)]


@pytest.mark.parametrize(
    ("number", "stayed", "left", "told"),
    [
        (10, [0.237, 0.241], (0.293, 0.343, 6), "25 | .293 to .343 in six runs, .237 and .241 in two | the six"),
        (12, [0.138], (0.282, 0.414, 7), "35 | .282 to .414 in seven runs, .138 in one | the seven"),
    ],
)
def test_runs_of_judge_most_left_above_the_bound_and_stayed_below(number, stayed, left, told):
    record = {10: "ninth", 12: "tenth"}[number]
    runs = [run for run in dose.doses() if run.arm == "judge-most" and run.record.endswith(record)]
    below, above = (sorted(round(run.learnt, 3) for run in runs if run.left is away) for away in (False, True))
    assert (below, (above[0], above[-1], len(above))) == (stayed, left)
    assert f"| {number} | six of eight had | {told} |" in page()


def test_the_page_counts_both_sides_of_judge_most():
    runs = [run for run in dose.doses() if run.arm == "judge-most"]
    left, stayed = sum(run.left for run in runs), sum(not run.left for run in runs)
    assert all(run.left is (run.learnt >= 0.25) for run in runs)
    assert (left, stayed) == (19, 5)
    assert f"{left} runs above it left, and the five below it stayed.**" in page()


def gains(number):
    pairs = pair_of(f"chain-92-05-fresh-{number}", "judge-most")
    return [100 * accuracy_difference(mine, theirs) for mine, theirs in pairs]


def test_thirteen_of_sixteen_pairs_gained():
    every = sorted(gains(10) + gains(12))
    assert max(every[:3]) < 1
    assert f"13 gained {every[3]:.0f} to {every[-1]:.0f} points, and three gained nothing" in page()


def saved(pairs, tokens):
    return sorted(100 - 100 * tokens(mine) / tokens(theirs) for mine, theirs in pairs)


def test_six_pairs_of_instance_10_saved_37_percent():
    found = saved(pair_of("chain-92-05-fresh-10", "judge-most"), lambda curve: end(curve, "tokens"))
    assert np.round(found[2:]).tolist() == [37] * 6


def test_a_response_without_rechecks_binds_the_tokens_of_instance_12():
    pairs = [pair for pair in pair_of("chain-92-05-fresh-12", "judge-most") if end(pair[0], "rechecks") < 0.05]
    found = saved(pairs, lambda curve: tokens_that_end(curve, 144))
    theirs = [tokens_that_end(curve, 144) for _, curve in pair_of("chain-92-05-fresh-12", "judge-most")]
    short = {round(end(mine, "tokens")) for mine, _ in pairs}
    told = f"without rechecks has {min(short)} tokens, and vanilla's that end have {np.mean(theirs):.0f}"
    assert len(short) == 1
    assert f"{told}. The seven runs that left save {found[0]:.0f} to {found[-1]:.0f} % of these" in page()
    assert (len(pairs), found[-1] < 42) == (7, True)


def test_the_page_says_by_how_much_the_goal_is_missed():
    pairs = pair_of("chain-92-05-fresh-12", "judge-most")
    ended, every = (
        math.expm1(-log_ratio(pairs, tokens).mean)
        for tokens in (lambda curve: tokens_that_end(curve, 144), lambda curve: end(curve, "tokens"))
    )
    assert f"missed by {100 * ended + 42:.1f} percentage points and lies outside the interval" in page()
    assert f"Over all responses -42 % is missed by {100 * every + 42:.1f}, and the interval holds -42 %" in page()


def test_the_pages_sentence_on_doses_counts_the_runs():
    runs = list(dose.doses())
    low, high = ([run.left for run in runs if (run.learnt >= 0.25) is above] for above in (False, True))
    sentence = f"Below .25, {sum(low)} of {len(low)} runs leave the habit. From .25 on, {sum(high)} of {len(high)} do."
    assert sentence in page()


def test_the_pages_sentence_on_cells_counts_them():
    assert coverage.sentence() in page()
    assert coverage.price_sentence() in page()
    total, most = (sum(coverage.price(cell)[0] for cell in cells) for cells in (coverage.planned(), [dose.CELL]))
    assert f"{most} of the {total} octets went to chain-92-05" in page()
    ran = sum(bool(coverage.arms_run(cell)) for cell in coverage.planned())
    assert f"has run {ran} of {len(coverage.planned())} planned cells" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("index", [0, 1])
def test_the_diagnosis_tells_what_differs_in_the_twin(index):
    assert bases.sentences()[index] in page("diagnosis.md")
