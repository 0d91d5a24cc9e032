"""The page of the record of our own recipes, and what docs/when-it-pays.md says of them, against the curves."""

import pytest

from benchmarks.lab import contrasts, handover
from benchmarks.lab.checks import FEWEST, LAST, end_of_judging, learnt, mean_point
from benchmarks.lab.ends import log_ratio, tokens_that_end
from benchmarks.lab.map import percent, points, read_cell, rows_of
from benchmarks.lab.measured import RESULTS
from benchmarks.lab.pairs import accuracy_difference, end, paired_curves
from benchmarks.lab.statistics import estimate
from judgerlvr.config.load import ROOT
from tests.lab.headlines import LIMIT, lines, plain

RECORD = RESULTS / "2026-12-01-h200-eleventh"
RECIPES = ("judge-most", "judge-fresh", "judge-hard", "judge-blocks")
BOUND = 0.25


@pytest.fixture(scope="module")
def cell():
    return read_cell(RECORD / "chain-92-05-recipes")


def page():
    return (RECORD / "README.md").read_text()


def when_it_pays():
    return (ROOT / "docs" / "when-it-pays.md").read_text()


def ends_of(cell, arm):
    return [mean_point(run["curve"][-LAST:]) for run in cell.octets[arm]["runs"]]


def left(run):
    return mean_point(run["curve"][-LAST:])["rechecks"] < FEWEST


@pytest.mark.parametrize("arm", ["vanilla", "judge-20", *RECIPES, "penalty-low"])
def test_an_arms_row_has_its_means_and_counts(cell, arm):
    """The last four cells: truncated, rechecks, runs that left, seconds."""
    row = next(line for line in page().splitlines() if line.startswith(f"| {arm} |"))
    found, runs = ends_of(cell, arm), cell.octets[arm]["runs"]
    cut, rechecks = (sum(one[name] for one in found) / len(found) for name in ("truncated", "rechecks"))
    told = f"{f'{cut:.3f}'[1:]} | {rechecks:.2f} | {sum(map(left, runs))} of 8 | {cell.octets[arm]['seconds']:.0f} |"
    assert row.endswith(told)


@pytest.mark.parametrize("arm", ["judge-20", *RECIPES, "penalty-low"])
def test_a_row_less_vanilla_is_that_of_the_curves(cell, arm):
    (row,) = [row for row in rows_of(cell) if row.arm == arm]
    pairs = paired_curves(cell.octets[arm], cell.octets["vanilla"])
    tokens = [percent(log_ratio(pairs, figure)) for figure in (lambda c: end(c, "tokens"), ended)]
    figures = [points(row.comparison.accuracy), percent(row.comparison.shortening), *tokens]
    figures += [points(row.greedy[0]), points(row.at_entropy[0])]
    assert f"| {arm} | {' | '.join(map(plain, figures))} |" in page()


def ended(curve):
    return tokens_that_end(curve, LIMIT)


def against_first(recipe):
    """Points, tokens and pairs of a recipe less judge-20."""
    (line,) = [line for line in contrasts.table() if f"| {recipe} less judge-20 |" in line]
    return line.strip("| ").split(" | ")[4:]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_row_less_judge_20_is_that_of_the_table(recipe):
    accuracy, tokens, each = against_first(recipe)
    assert f"| {recipe} | {plain(accuracy)} | {plain(tokens)} | {each} |" in page()


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_docs_have_each_answer(recipe):
    accuracy, tokens, _ = against_first(recipe)
    row = lines()[(RECORD.name, "chain-92-05-recipes", recipe)][1]
    told = f"{plain(accuracy, ' points')}, tokens {plain(tokens)} | {plain(points(row.comparison.accuracy), ' points')}"
    (line,) = [
        line for line in when_it_pays().splitlines() if line.startswith(f"| {recipe} |") and " less " not in line
    ]
    assert told in line and line.endswith("| undecided |")


def test_no_recipe_is_decided_against_judge_20():
    for recipe in RECIPES:
        low, high = (float(bound) for bound in against_first(recipe)[0].split(" [")[1].rstrip("]").split(", "))
        assert low < 0 < high
    assert "**No recipe is shown to beat judge-20" in when_it_pays()


def test_judge_entropy_is_judge_most_run_by_run(cell):
    """Both ended judging at one step."""
    most, entropy = ([run["curve"][-1] for run in cell.octets[arm]["runs"]] for arm in ("judge-most", "judge-entropy"))
    names = ("accuracy", "tokens", "rechecks", "entropy")
    assert [[one[name] for name in names] for one in most] == [[one[name] for name in names] for one in entropy]


def sides(cell, arm):
    """Whether runs left, from the bound on and below."""
    above, below = [], []
    for run in cell.octets[arm]["runs"]:
        taught = learnt(run["curve"][end_of_judging(run["curve"])])
        (above if taught >= BOUND else below).append(left(run))
    return above, below


@pytest.mark.parametrize("arm", ["judge-20", "judge-most", "judge-fresh", "judge-hard"])
def test_the_dose_is_counted_on_both_sides(cell, arm):
    told = [f"{sum(side)} of {len(side)}" for side in sides(cell, arm)]
    assert f"| {arm} | {told[0]} | {told[1]} |" in page()


def test_the_docs_say_where_the_bound_failed(cell):
    wrong = [
        sum(not left for left in above) + sum(below)
        for above, below in (sides(cell, arm) for arm in ("judge-20", "judge-most", "judge-fresh", "judge-hard"))
    ]
    assert (sum(wrong[:2]), sum(wrong[2:])) == (0, 3)
    text = " ".join(when_it_pays().split())
    assert (
        "With new or harder candidates, which the table leaves out, the bound failed in three of 16 runs there." in text
    )


def test_gains_at_the_hand_over_are_counted_with_the_recipes_too(cell):
    above, below = [], []
    for arm in ("judge-20", "judge-most", "judge-fresh", "judge-hard"):
        for run in cell.octets[arm]["runs"]:
            gain = run["curve"][end_of_judging(run["curve"])]["accuracy"] - run["curve"][0]["accuracy"]
            (above if gain >= handover.BOUND else below).append(left(run))
    told = [f"{sum(side)} of {len(side)}" for side in (above, below)]
    assert f"which the table leaves out, {told[0]} and {told[1]} left." in " ".join(when_it_pays().split())
    assert f"With judge-fresh and judge-hard beside: {told[0]}, and {told[1]}." in page()


def less_penalty(cell, recipe):
    pairs = paired_curves(cell.octets[recipe], cell.octets["penalty-low"])
    return plain(points(estimate([accuracy_difference(*pair) for pair in pairs])))


def test_recipes_less_the_penalty_are_told(cell):
    each = [less_penalty(cell, recipe) for recipe in RECIPES]
    told = ", ".join(f"{recipe} {one}" for recipe, one in zip(RECIPES, each, strict=True))
    assert f"Less penalty-low: {told.replace(' [', ' points [', 1)}." in page()
    assert "judge-most gained more than penalty-low, and the intervals of the other recipes less" in when_it_pays()
    assert [float(one.split("[")[1].split(",")[0]) > 0 for one in each] == [True, False, False, False]


def test_the_pools_of_the_processes_are_told(cell):
    pairs = {octet["pairs"] + octet["settings"]["rl"]["heldout_pairs"] for octet in cell.octets.values()}
    told = " and ".join(f"{count:,}" for count in sorted(pairs))
    assert f"of {told} pairs" in when_it_pays() and f"of {told} pairs" in page()


def test_the_first_hand_over_of_judge_blocks_is_told(cell):
    curves = [run["curve"] for run in cell.octets["judge-blocks"]["runs"]]
    taught = [learnt(next(point for point in curve if point["step"] == 10)) for curve in curves]
    assert f"{min(taught):.2f} to {max(taught):.2f}".replace("0.", ".") == ".06 to .14"
    assert "At the first hand-over its runs had learnt .06 to .14" in page()
