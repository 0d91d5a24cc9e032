"""Seconds, bases and runs without a line: on made records, and against the pages of the records."""

import json

import pytest

from benchmarks.lab import coverage, dose, spent
from benchmarks.lab.page import POOL, results
from judgerlvr.config.load import ROOT

BASE = {"accuracy": 0.1, "tokens": 49.0, "entropy": 0.5, "greedy_accuracy": 0.2, "greedy_tokens": 40.0}


def page(name="docs/when-it-pays.md"):
    return " ".join((ROOT / name).read_text().split())


def base(folder, measures, cell="any", passed=True):
    folder.mkdir(parents=True)
    content = {"cell": cell, "base": BASE | measures, "checks": [{"name": "one check", "passed": passed}]}
    (folder / "checks.json").write_text(json.dumps(content))


def octet(folder, arm, seconds=10.0, complete=True):
    folder.mkdir(parents=True, exist_ok=True)
    content = {"cell": "w", "arm": {"name": arm}, "complete": complete, "seconds": seconds}
    (folder / f"octet-{arm}.json").write_text(json.dumps(content | {"runs": [{"curve": [{"step": 0}, {"step": 70}]}]}))


@pytest.fixture
def records(tmp_path, monkeypatch):
    for module in (coverage, dose):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(spent, "CUT", ())
    return tmp_path


@pytest.mark.parametrize(
    ("measures", "count"), [({"judge_balanced": 0.9}, 1), ({"a_new_measure": 0.5}, 1), ({"tokens": 49.1}, 2)], ids=str
)
def test_a_base_is_known_by_how_it_solves(records, measures, count):
    base(records / "a", {})
    base(records / "b", measures)
    assert spent.bases() == count


def test_seconds_of_vanilla_stand_apart(records):
    for arm, seconds, complete in (("vanilla", 100.0, True), ("judge-20", 7.0, True), ("penalty-low", 5.0, False)):
        octet(records / "first", arm, seconds, complete)
    assert spent.seconds_table()[2:] == ["| first | w | 100 | 2 | 12 |", "| all |  | 100 | 2 | 12 |"]


def test_what_has_no_line_is_listed(records):
    octet(records / "1" / "w", "vanilla")
    octet(records / "2" / "w", "vanilla")
    octet(records / "2" / "w", "judge-20", 12.0, complete=False)
    base(records / "3" / "w", {}, "w", passed=False)
    assert spent.unlisted_table()[2:] == [
        "| 1 | w | vanilla | complete, no other arm beside |",
        "| 2 | w | judge-20 | cut after step 70, 12 s |",
        "| 3 | w | none | the base failed: one check |",
    ]


@pytest.mark.parametrize("cut", spent.CUT, ids=lambda cut: f"{cut.record} {cut.arm}")
def test_the_page_of_the_record_tells_of_a_cut_octet(cut):
    assert cut.told in page(f"benchmarks/lab/results/{cut.record}/README.md")
    steps = [word for word in cut.what.replace(",", "").split() if word.isdigit()]
    assert all(step in cut.told for step in steps)


def test_the_record_of_the_base_has_its_seconds():
    told = f"The base took {spent.BASE_SECONDS} s for 2,000 steps, and the judge pool {spent.POOL_SECONDS} s."
    assert told in page(f"benchmarks/lab/results/{spent.BASE_RECORD}/README.md")
    others = [file for file in coverage.RESULTS.glob("*/README.md") if "The base took" in file.read_text()]
    assert [file.parent.name for file in others] == [spent.BASE_RECORD]


def test_every_octet_has_a_line_somewhere():
    """In the table of all comparisons, as its vanilla, or among the runs without a line."""
    compared = {
        (record.partition("/")[0], arm)
        for record, cell in results()
        if record != POOL and len(cell.octets) > 1
        for arm in cell.octets
    }
    listed = {(row[0], row[2]) for row in (line.strip("| ").split(" | ") for line in spent.unlisted_table()[2:])}
    every = {(spent.record_of(file), one["arm"]["name"]) for file, one in coverage.every_octet().items()}
    # The fourth record's control stands beside the third record's vanilla.
    assert every - compared - listed == {("2026-11-29-h200-fourth", "generate-first")}


@pytest.mark.parametrize("index", [0, 1])
def test_the_page_says_what_was_spent(index):
    assert spent.sentences()[index] in page()


def test_the_seconds_of_the_plan_are_spent():
    bases = spent.bases() * (spent.BASE_SECONDS + spent.POOL_SECONDS)
    assert coverage.seconds() + bases > 18_000
    assert "So the 18,000 s are spent." in page()


def test_the_planned_confirmation_does_not_fit():
    octets = 48 // 8 * 5
    each = coverage.seconds() / coverage.octet_count()
    assert f"48 pairs of five arms are {octets} octets, some {round(octets * each, -2):,.0f} s of the 18,000" in page()
