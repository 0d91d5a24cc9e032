"""Counts and ranges that the pages of the lab's records state, against their curves."""

import json
import re

import pytest

from benchmarks.lab import dose
from benchmarks.lab.checks import FEWEST, LAST, learnt
from benchmarks.lab.measured import RESULTS
from benchmarks.lab.pairs import end
from judgerlvr.config.load import ROOT

TURNS = "chain-92-05-fresh-"
LATER = {*(f"2026-11-30-h200-{record}" for record in ("eighth", "ninth", "tenth")), "2026-12-01-h200-eleventh"}
UNJUDGED = ("vanilla", "penalty-high", "penalty-low")
# Record, first cell of the row on its page, octet. A row has the ranges of accuracy and tokens over all runs.
RANGES = [
    ("2026-11-29-h200-fifth", "vanilla, instance 1", "fresh-1/octet-vanilla"),
    ("2026-11-29-h200-fifth", "penalty-high, instance 1, cut at step 100 of 120", "fresh-1/octet-penalty-high"),
    ("2026-11-29-h200-fifth", "vanilla, instance 2", "fresh-2/octet-vanilla"),
    ("2026-11-29-h200-fifth", "penalty-high, instance 2", "fresh-2/octet-penalty-high"),
    *(("2026-11-30-h200-sixth", arm, f"twin-92-05-fresh-4/octet-{arm}") for arm in ("vanilla", "judge-20")),
    *(
        (f"2026-11-30-h200-{record}", arm, f"{TURNS}{number}/octet-{arm}")
        for record, number, arms in (
            ("seventh", 6, ("vanilla", "judge-20", "penalty-high", "penalty-low")),
            ("eighth", 8, ("vanilla", "judge-until", "penalty-high", "penalty-low")),
            ("ninth", 10, ("vanilla", "penalty-high", "penalty-low")),
            ("tenth", 12, ("vanilla", "penalty-high", "penalty-low")),
        )
        for arm in arms
    ),
    *(("2026-12-01-h200-eleventh", arm, f"chain-92-05-recipes/octet-{arm}") for arm in ("vanilla", "penalty-low")),
]


def page(record):
    return " ".join((RESULTS / record / "README.md").read_text().split())


def when_it_pays():
    return " ".join((ROOT / "docs" / "when-it-pays.md").read_text().split())


def curves(record, octet):
    return [run["curve"] for run in json.loads((RESULTS / record / f"{octet}.json").read_text())["runs"]]


def at(curve, step):
    return next(point for point in curve if point["step"] == step)


@pytest.mark.parametrize(("record", "row", "octet"), RANGES, ids=lambda text: text.rpartition("/")[2])
def test_a_row_has_the_ranges_of_its_runs(record, row, octet):
    """A stated bound may be half of its last digit away."""
    (line,) = re.findall(rf"^\| {re.escape(row)} \|.*$", (RESULTS / record / "README.md").read_text(), re.M)[:1]
    for name, cell, last in zip(("accuracy", "tokens"), line.split(" | ")[1:3], (0.01, 1), strict=True):
        stated = [float(number) for number in re.findall(r"\.?\d+", cell)]
        found = [end(curve, name) for curve in curves(record, octet)]
        assert [stated[0], stated[-1]] == pytest.approx([min(found), max(found)], abs=last / 2 + 1e-6)


def test_the_first_record_counts_long_and_short_runs():
    """The page said four and four."""
    points = [curve[-1] for curve in curves("2026-11-28-h100-exploratory", "octet-vanilla")]
    long, short = ([point for point in points if (point["tokens"] > 80) is above] for above in (True, False))
    assert (len(long), len(short)) == (3, 5)
    tokens, rechecks = (sorted(round(point[name]) for point in long) for name in ("tokens", "rechecks"))
    text = page("2026-11-28-h100-exploratory")
    assert f"Three of eight runs end there at {tokens[0]} to {tokens[-1]} tokens" in text
    assert f"with {rechecks[0]} to {rechecks[-1]} rechecks a response" in text
    assert "Five end at {} to {} tokens".format(*sorted(round(p["tokens"]) for p in short)[:: len(short) - 1]) in text
    assert {round(point["rechecks"]) for point in short} == {8}


def test_the_sixth_record_counts_the_runs_that_go_on_rechecking():
    """The page said three of four."""
    runs = [run for run in dose.doses("chain-95-05") if run.rate == 1e-4]
    rechecks, taught = sorted(run.rechecks for run in runs), sorted(run.learnt for run in runs)
    text = page("2026-11-30-h200-sixth")
    assert (len(runs), [run.left for run in runs]) == (4, [False] * 4)
    assert f"all four go on writing rechecks: {rechecks[0]:.0f} to {rechecks[-1]:.0f} a response" in text
    assert "had learnt {} to {} of the".format(*(f"{dose:.2f}"[1:] for dose in (taught[0], taught[-1]))) in text


def test_the_page_has_the_rechecks_of_instance_8():
    """The page gave the means of arms as those of runs."""
    arms = [
        curves("2026-11-30-h200-eighth", f"{TURNS}8/octet-{arm}") for arm in ("vanilla", "penalty-high", "penalty-low")
    ]
    runs = [[end(curve, "rechecks") for curve in arm] for arm in arms]
    means = [sum(arm) / len(arm) for arm in runs]
    every = [one for arm in runs for one in arm]
    told = f"Each of these {len(every)} runs writes {min(every):.0f} to {max(every):.0f} rechecks a response"
    assert f"{told}, and an arm {min(means):.0f} to {max(means):.0f} on average." in when_it_pays()
    assert min(end(curve, "truncated") for arm in arms for curve in arm) > 0.05


def test_the_page_counts_truncated_vanilla_runs_before_instance_8():
    files = [file for file in RESULTS.rglob("octet-vanilla.json") if not set(file.parts) & LATER]
    octets = [json.loads(file.read_text()) for file in files]
    cut = [
        end(run["curve"], "truncated") > 0.05
        for octet in octets
        if octet["cell"].startswith("chain-92-05")
        for run in octet["runs"]
    ]
    counted = f"{sum(cut)} of {len(cut)} vanilla runs end with more than 5 % truncated"
    assert counted in when_it_pays()
    assert counted in page("2026-11-30-h200-eighth")


def test_the_seventh_record_counts_the_doses():
    runs = [run for run in dose.doses() if run.record not in LATER]
    low, high = ([run.left for run in runs if (run.learnt >= 0.25) is above] for above in (False, True))
    text = page("2026-11-30-h200-seventh")
    assert f"{len(runs)} runs, both arms, both rates" in text
    assert f"{sum(low)} of {len(low)} runs leave the rechecks. From .25 on, {sum(high)} of {len(high)} do." in text


def test_the_eighth_record_has_the_doses_by_step():
    found = curves("2026-11-30-h200-eighth", f"{TURNS}8/octet-judge-until")
    taught = {step: sorted(learnt(at(curve, step)) for curve in found) for step in (20, 30, 40)}
    formed = {step: sorted(at(curve, step)["well_formed"] for curve in found) for step in (20, 30, 40)}
    ranges = [f"{taught[step][0]:.2f} to {taught[step][-1]:.2f}".replace("0.", ".") for step in taught]
    assert f"| {ranges[0]} | {ranges[1]}, seven from .33 on | {ranges[2]} |" in page("2026-11-30-h200-eighth")
    assert (round(taught[30][1], 2), sum(share < 0.95 for share in formed[40])) == (0.33, 3)
    assert "three runs wrote .68 to .92 well-formed responses" in when_it_pays()
    assert [round(formed[40][place], 2) for place in (0, 2)] == [0.68, 0.92]
    assert round(formed[30][0], 2) == 0.98


@pytest.mark.parametrize(("record", "number", "step"), [("ninth", 10, 25), ("tenth", 12, 35)])
def test_a_record_has_each_run_of_judge_most(record, number, step):
    octet = json.loads((RESULTS / f"2026-11-30-h200-{record}/{TURNS}{number}/octet-judge-most.json").read_text())
    text = page(f"2026-11-30-h200-{record}")
    for run in octet["runs"]:
        curve = run["curve"]
        last = [f"{sum(point[name] for point in curve[-LAST:]) / LAST:.2f}" for name in ("rechecks", "accuracy")]
        row = f"| {run['seed']} | {learnt(at(curve, step)):.3f} | {last[0]} | {last[1]} |"
        assert row.replace(" 0.", " .") in text


def test_the_page_counts_the_truncated_runs_of_instance_12():
    arms = ("vanilla", "penalty-high", "penalty-low", "judge-most")
    vanilla, high, low, most = (
        sum(end(curve, "truncated") > 0.05 for curve in curves("2026-11-30-h200-tenth", f"{TURNS}12/octet-{arm}"))
        for arm in arms
    )
    told = f"{vanilla} of 8 vanilla runs, {high + low} of 16 penalty runs and {most} of 8 judge-most runs"
    assert f"In instance 12, {told} end with more than 5 % truncated" in when_it_pays()


def test_the_tenth_record_counts_the_runs_that_left_without_judging():
    arms = {arm: curves("2026-11-30-h200-tenth", f"chain-92-15/octet-{arm}") for arm in UNJUDGED}
    gone = {arm: [curve for curve in runs if end(curve, "rechecks") < FEWEST] for arm, runs in arms.items()}
    assert [len(runs) for runs in gone.values()] == [1, 1, 3]
    short = [end(curve, "accuracy") for runs in arms.values() for curve in runs if end(curve, "tokens") < 44]
    assert (len(short), round(min(short), 2), round(max(short), 2)) == (6, 0.86, 0.95)
    assert "These six end at 43 tokens and .86 to .95." in page("2026-11-30-h200-tenth")
    every = sum(map(len, arms.values()))
    assert f"five of {every} vanilla and penalty runs left without judging" in when_it_pays()


def test_the_pages_count_the_runs_that_left_after_twenty_steps():
    counts = []
    for numbers in ((1, 2), (6,)):
        files = [file for number in numbers for file in RESULTS.rglob(f"*fresh-{number}/octet-judge-20.json")]
        ends = [end(run["curve"], "rechecks") < 0.05 for file in files for run in json.loads(file.read_text())["runs"]]
        counts.append((sum(ends), len(ends)))
    assert counts == [(14, 16), (0, 8)]
    assert "were enough in 14 of 16 runs on instances 1 and 2, and in none of 8 on instance 6" in when_it_pays()
    assert "Two of 16 runs end as vanilla does" in page("2026-11-29-h200-fifth")
