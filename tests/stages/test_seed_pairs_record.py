"""The record of eight seeds of the tiny world: its page, the docs and the diagnosis's case against its figures."""

import dataclasses
import json
import re

import pytest
from scipy.stats import ttest_rel

from benchmarks.lab.cells import DEMO
from benchmarks.lab.coverage import BY_VERL
from benchmarks.stages.seed_pairs import page
from benchmarks.stages.seed_pairs.record import read_seeds
from judgerlvr.config.load import ROOT
from judgerlvr.diagnosis.cases import FILE, read_cases
from judgerlvr.evaluation.permutation import holm

RECORD = ROOT / "benchmarks" / "results" / "tiny-pairs-cpu-2026-11-30"
SEEDS = read_seeds(RECORD)
TABLES = {
    "by seed": page.by_seed(SEEDS),
    "arms": page.comparisons(SEEDS, page.ARMS),
    "sharpening": page.comparisons(SEEDS, page.SHARPENING),
    "policies": page.policies(SEEDS),
    "temperatures": page.temperatures(SEEDS),
}
NUMBER = r"([-+]?\d+\.\d)"
INTERVAL = re.compile(rf"{NUMBER}(?: points| %)?(?: tokens)? \[{NUMBER}, {NUMBER}\]")


def section():
    """The docs' section about this record."""
    text = (ROOT / "docs" / "tiny-world.md").read_text()
    return text[text.index("## Judge-first over seeds") : text.index("## Room for RL")]


def intervals(text):
    return {tuple(map(float, found)) for found in INTERVAL.findall(text)}


@pytest.mark.parametrize("name", TABLES)
def test_the_record_has_the_table(name):
    assert "\n".join(["", *TABLES[name], ""]) in (RECORD / "README.md").read_text()


@pytest.mark.parametrize("name", ["arms", "sharpening", "policies"])
def test_the_docs_have_the_table(name):
    assert "\n".join(["", *TABLES[name], ""]) in section()


@pytest.mark.parametrize("where", ["docs", "record"])
def test_every_interval_of_the_prose_stands_in_a_table(where):
    text = section() if where == "docs" else (RECORD / "README.md").read_text()
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    known = intervals("\n".join(line for table in TABLES.values() for line in table))
    assert intervals(prose)
    assert intervals(prose) <= known


def test_the_record_has_the_outcome():
    assert page.verdict(SEEDS) in (RECORD / "README.md").read_text()


def gains():
    """Points of JudgeRLVR less vanilla, by seed."""
    return {seed.seed: 100 * (seed.figures["JudgeRLVR"].accuracy - seed.figures["vanilla"].accuracy) for seed in SEEDS}


def test_the_docs_tell_the_seed_that_moves_the_mean():
    others = [gain for seed, gain in gains().items() if seed != 8]
    level = 100 * next(seed for seed in SEEDS if seed.seed == 8).figures["vanilla"].accuracy
    assert f"its vanilla run ended at {level:.1f} %" in section()
    assert f"gained {gains()[8]:.1f} points there, and between {min(others):+.1f} and {max(others):+.1f}" in section()


def test_the_record_tells_the_tokens_sampled():
    sampled = {arm: sum(seed.spent[arm]["tokens"] for seed in SEEDS) / len(SEEDS) / 1000 for arm in SEEDS[0].spent}
    told = "vanilla {vanilla:.0f} and penalty {penalty:.0f}"
    told = f"JudgeRLVR sampled {{JudgeRLVR:.0f}} thousand tokens on average, candidates included, {told}"
    assert told.format(**sampled) in (RECORD / "README.md").read_text()
    assert sampled["JudgeRLVR"] / sampled["vanilla"] == pytest.approx(1.2, abs=0.05)  # "a fifth more"


def test_about_half_of_the_gain_is_left_at_equal_entropy():
    for at in (0, 3):
        whole, left = (
            page.differences(page.pairs_of(SEEDS, *row[1:])).accuracy for row in page.SHARPENING[at : at + 2]
        )
        assert left.value / whole.value == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("where", ["docs", "record"])
def test_the_p_value_at_one_entropy_is_told_with_its_correction(where):
    made = [pairs for row in page.ARMS if (pairs := page.pairs_of(SEEDS, *row[1:]))]
    sides = [[[side.accuracy for side in (one.ours, one.theirs)] for one in pairs] for pairs in made]
    p_values = [float(ttest_rel(*zip(*rows, strict=True)).pvalue) for rows in sides]
    told = [f"{value:.3f}" for value in (p_values[2], holm(p_values)[2])]
    text = section() if where == "docs" else (RECORD / "README.md").read_text()
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    assert re.findall(r"\b0\.\d{3}\b", prose) == told
    assert len(p_values) == 10  # "the ten rows"


def test_the_greedy_base_beats_both_trained_arms_at_temperature_1():
    for arm in page.PAIR:
        assert all(seed.figures["base"].greedy > seed.figures[arm].accuracy for seed in SEEDS)


def test_the_readme_has_the_comparison():
    pair, penalty = (page.differences(page.pairs_of(SEEDS, *page.ARMS[row][1:])) for row in (0, 3))
    text = (ROOT / "README.md").read_text()
    bullet = next(part for part in text.split("\n- ") if part.startswith("**Over eight"))
    answer = text.partition("With verl, [eight seeds")[2].partition("\n\n")[0]
    assert intervals(bullet) == {rounded(one) for one in (pair.accuracy, pair.tokens_share)}
    assert intervals(answer) == {rounded(one) for one in (penalty.accuracy, penalty.tokens_share)}


def rounded(found):
    return tuple(round(100 * value, 1) for value in (found.value, found.low, found.high))


def test_the_lab_says_truly_that_judge_first_did_not_win_here():
    assert ("without a win" in BY_VERL[DEMO]) == (page.outcome(SEEDS) != "win")


def test_the_docs_name_the_outcome():
    assert f"**{page.outcome(SEEDS).capitalize()}**" in section()


@pytest.mark.parametrize("field", ["accuracy", "tokens"])
def test_the_products_summary_has_the_same_pairs(field):
    """``over-seeds.json`` is written by the experiment itself."""
    rows = json.loads((RECORD / "over-seeds.json").read_text())["rows"]
    row = next(
        row for row in rows if (row["arm"], row["against"], row["decoding"]) == ("JudgeRLVR", "vanilla", "sampled")
    )
    ours = {pair["seed"]: (pair["ours"][field], pair["theirs"][field]) for pair in row["pairs"]}
    figures = {seed.seed: [getattr(seed.figures[arm], field) for arm in page.PAIR] for seed in SEEDS}
    assert {seed: pytest.approx(values, abs=1e-6) for seed, values in figures.items()} == ours


def test_the_case_of_the_diagnosis_is_the_record():
    rows = json.loads(FILE.read_text())["cases"]
    row = next(row for row in rows if row["record"] == str(RECORD.relative_to(ROOT)))
    assert row | page.measured_case(SEEDS) == row


def test_the_outcome_of_the_case_is_that_of_the_record():
    """Holm's correction over all cases changes nothing here."""
    case = next(case for case in read_cases() if case.record == str(RECORD.relative_to(ROOT)))
    assert case.outcome == page.outcome(SEEDS)


STYLES = json.loads((RECORD / "styles.json").read_text())["seeds"]


def first_words():
    """The first word of the greedy responses of ``shuffled``, by seed."""
    return {row["seed"]: row["policies"]["shuffled"]["first"] for row in STYLES}


@pytest.mark.parametrize("arm", SEEDS[0].spent)
def test_all_arms_have_equal_steps_in_all_seeds(arm):
    assert {seed.spent[arm]["steps"] for seed in SEEDS} == {22}


def test_the_exploratory_arm_is_not_in_the_outcome():
    without = [
        dataclasses.replace(seed, figures={name: one for name, one in seed.figures.items() if name != "shuffled"})
        for seed in SEEDS
    ]
    assert page.measured_case(without) == page.measured_case(SEEDS)


@pytest.mark.parametrize("name", ["docs/tiny-world.md", "docs/when-it-pays.md", "CHANGELOG.md"])
def test_a_page_tells_what_labels_do(name):
    row = next(row for row in page.ARMS if row[0] == "JudgeRLVR less shuffled")
    value, low, high = rounded(page.differences(page.pairs_of(SEEDS, *row[1:])).accuracy)
    text = (ROOT / name).read_text().replace("+", "")
    assert re.search(rf"JudgeRLVR less shuffled(:| is)? {value} points \[{low}, {high}\]", text)


def test_the_statements_tell_what_a_penalty_does_in_this_world():
    line = next(line for line in page.comparisons(SEEDS, page.ARMS) if line.startswith("| JudgeRLVR less penalty |"))
    cells = [cell.strip() for cell in line.replace("+", "").strip("| ").split("|")]
    (points, *bounds), (tokens, *others) = cells[3].split(" ", 1), cells[5].split(" ", 1)
    text = (ROOT / "docs/when-it-pays.md").read_text().replace("+", "")
    told = f"JudgeRLVR less `overlong: penalty` {points} points {bounds[0]} and {tokens} % tokens {others[0]}"
    assert told in text


def mean(policy, field):
    return f"{100 * sum(getattr(seed.figures[policy], field) for seed in SEEDS) / len(SEEDS):.1f} %"


def test_the_record_tells_what_permuted_labels_did():
    after = [mean("after shuffled judge", field) for field in ("accuracy", "greedy", "judging")]
    base = [mean("base", field) for field in ("accuracy", "greedy", "judging")]
    told = (
        f"solving has {after[0]} and greedily {after[1]}. The base has {base[0]} and {base[1]}.",
        f"left judging at {after[2]}, and the base has {base[2]}.",
    )
    text = (RECORD / "README.md").read_text()
    assert [one in text for one in told] == [True, True]
    assert f"{after[0]} behind the judge stage, and {base[0]} before" in section()


def test_the_styles_are_those_of_the_records_policies():
    """Each count is over 400 greedy responses and 1600 sampled ones of a seed of the record."""
    counts = {
        (sum(one["sampled"].values()), sum(one["greedy"].values()))
        for row in STYLES
        for one in row["policies"].values()
    }
    assert (counts, [row["seed"] for row in STYLES]) == ({(1600, 400)}, [seed.seed for seed in SEEDS])


def test_greedy_responses_open_with_the_likelier_word():
    """ "All 3200" of the arm, "exactly these 117", and no careful response."""
    found = {row["seed"]: row["policies"]["shuffled"]["greedy"] for row in STYLES}
    assert sum(first["as_likelier"] for first in first_words().values()) == 3200
    assert {seed: one["rambling"] for seed, one in found.items() if one["rambling"]} == {11: 117}
    assert first_words()[11]["hmm_likelier"] == 117
    assert not any(one["careful"] for one in found.values())


@pytest.mark.parametrize("where", ["docs", "record"])
def test_the_pages_tell_the_first_word(where):
    text = section() if where == "docs" else (RECORD / "README.md").read_text()
    others = [100 * first["hmm"] for seed, first in first_words().items() if seed != 11]
    assert f"In seven seeds `hmm` has {min(others):.0f} % to {max(others):.0f} %" in text
    assert f"In seed 11 `hmm` has {100 * first_words()[11]['hmm']:.1f} %" in text


@pytest.mark.parametrize("where", ["docs", "record"])
def test_the_pages_tell_two_lengths_of_greedy_responses(where):
    text = section() if where == "docs" else (RECORD / "README.md").read_text()
    found = [seed.figures[arm].greedy_tokens for seed in SEEDS for arm in page.PAIR]
    short, long = ([one for one in found if (one > 60) == above] for above in (False, True))
    told = [f"{min(part):.0f} to {max(part):.0f}" for part in (short, long)]
    assert [one in text for one in told] == [True, True]
