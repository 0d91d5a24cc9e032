"""The rule of outcomes, the hull, the chances and the score, on made-up cases. The committed cases, as they are."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.lab.measured import cases_of, cell_folders
from benchmarks.lab.statistics import Comparison
from benchmarks.lab.statistics import Estimate as LabEstimate
from benchmarks.lab.statistics import outcome as lab_outcome
from judgerlvr.config.load import ROOT
from judgerlvr.diagnosis.cases import UNITS, Bounds, Case, Outcome, case_of, read_cases
from judgerlvr.diagnosis.prediction import chances_at, constant_chances, decided, predict
from judgerlvr.diagnosis.scoring import score, why_not_scored, why_not_trusted
from judgerlvr.evaluation.intervals import Estimate

WIN = {"accuracy": Bounds(0.1, 0.05, 0.15), "shortening": Bounds(0.3, 0.2, 0.4)}
LOSS = {"accuracy": Bounds(-0.1, -0.15, -0.05), "shortening": Bounds(0.0, -0.1, 0.1)}
TIE = {"accuracy": Bounds(0.0, -0.01, 0.01), "shortening": Bounds(0.0, -0.05, 0.05)}
KINDS = {"win": WIN, "loss": LOSS, "tie": TIE}


def case(family, outcome, *at, **changes):
    """A case whose first inputs are ``at`` in units. The other inputs are 0."""
    padded = [*at, *[0.0] * (len(UNITS) - len(at))]
    inputs = {name: value * unit for (name, unit), value in zip(UNITS.items(), padded, strict=True)}
    made = Case("c", family, "r", "made up", 4, inputs, tokens=50.0, front_tokens=60.0, **KINDS[outcome])
    return replace(made, **changes)


def measured(*at, half=0.5):
    """Estimates at a place, with half widths of half a unit."""
    values = case("f", "win", *at).inputs
    return {name: Estimate(v, v - half * UNITS[name], v + half * UNITS[name]) for name, v in values.items()}


SQUARE = [case("a", "win", 0, 0), case("a", "loss", 10, 0), case("b", "win", 0, 10), case("b", "loss", 10, 10)]


@pytest.mark.parametrize("asked", [False, True], ids=["", "at matched entropy too"])
@pytest.mark.parametrize("seed", range(40))
def test_the_outcome_is_that_of_the_lab(seed, asked):
    """The lab decides a single comparison by the same rule. Bounds and p values go together there."""
    draw = np.random.default_rng(seed)
    made = []
    for scale in (0.05, 0.2, 0.1):
        mean, half = draw.normal() * scale, abs(draw.normal()) * scale / 2
        made.append(Bounds(mean, mean - half, mean + half))
    tokens, front = draw.uniform(40, 60, 2)
    accuracy, shortening, at_entropy = (
        LabEstimate(b.mean, b.low, b.high, 0.0 if b.low > 0 else 1.0, 0.0 if b.high < 0 else 1.0, 4) for b in made
    )
    compared = Comparison(accuracy, shortening, 0.5, tokens, front, at_entropy if asked else None)
    figures = dict(zip(("accuracy", "shortening", "at_entropy"), made[: 2 + asked], strict=False))
    ours = case("f", "win", **figures, tokens=tokens, front_tokens=front)
    assert str(ours.outcome) == str(lab_outcome(compared, compared.p_win, compared.p_loss))


@pytest.mark.parametrize(("low", "outcome"), [(-0.01, "undecided"), (0.0, "undecided"), (0.01, "win")])
def test_a_win_needs_the_accuracy_at_matched_entropy_where_its_record_asks(low, outcome):
    """The case was a win here, and undecided in the lab."""
    found = case("f", "win", at_entropy=Bounds(0.05, low, 0.1))
    assert found.outcome == outcome
    assert ("at matched entropy" in found.open_because) is (outcome == "undecided")


@pytest.mark.parametrize("name", ["chain-92-05-fresh-10 judge-most", "chain-92-05-fresh-6 judge-20"])
def test_the_file_holds_the_accuracy_at_matched_entropy(name):
    (found,) = [one for one in read_cases() if one.name.startswith(name)]
    assert found.at_entropy is not None
    assert math.isfinite(found.at_entropy.low)


@pytest.mark.parametrize("outcome", KINDS)
def test_each_outcome_has_a_case(outcome):
    assert case("f", outcome).outcome == outcome


def test_penalties_that_never_get_as_accurate_deny_no_win():
    """They were told as penalties that had not run."""
    assert case("f", "win", front_tokens=math.inf).outcome is Outcome.WIN


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"front_tokens": None}, "no penalty arm"),
        ({"failed_checks": ("entropy",)}, "failed: entropy"),
        ({"pairs": 1, "accuracy": Bounds(0.1), "shortening": Bounds(0.3)}, "a single pair"),
        ({"accuracy": Bounds(0.1, -0.1, 0.3)}, "intervals too wide"),
    ],
)
def test_a_case_without_a_condition_of_a_win_is_open(changes, why):
    found = case("f", "win", **changes)
    assert found.outcome is Outcome.UNDECIDED
    assert why in found.open_because


def test_inside_the_hull_the_nearer_case_decides():
    assert predict(measured(1, 5), SQUARE).outcome is Outcome.WIN
    assert predict(measured(9, 5), SQUARE).outcome is Outcome.LOSS


def test_chances_are_weighted_counts():
    """Naive twin: one case of the smoothed shares and each case with 1 / (1 + d^2)."""
    at = case("f", "win", 3, 4).inputs
    found = chances_at(at, SQUARE)
    squares = [25, 49 + 16, 9 + 36, 49 + 36]
    weights = [1 / (1 + d) for d in squares]
    assert found[Outcome.WIN] == pytest.approx((3 / 7 + weights[0] + weights[2]) / (1 + sum(weights)))
    assert found[Outcome.TIE] == pytest.approx(1 / 7 / (1 + sum(weights)))
    assert sum(found.values()) == pytest.approx(1)
    assert constant_chances(SQUARE) == {Outcome.WIN: 3 / 7, Outcome.TIE: 1 / 7, Outcome.LOSS: 3 / 7}


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (measured(30, 5), "outside the hull of the measured inputs: pass@1"),
        (measured(5, 5, 3), "outside the hull"),
        (measured(5, 5, half=4), "too coarsely"),
        ({}, "not measured: pass@1"),
    ],
)
def test_no_prediction_says_why(inputs, reason):
    found = predict(inputs, SQUARE)
    assert found.outcome is None
    assert any(reason in text for text in found.reasons)


def test_a_place_within_each_range_may_be_outside_of_the_hull():
    corner = SQUARE[:3]
    found = predict(measured(9, 9), corner)
    assert found.reasons == ("outside the hull of the measured inputs, though each input alone is in its range",)
    assert predict(measured(3, 3), corner).outcome is not None


def test_nearest_cases_come_first_with_their_distance():
    nearest = predict(measured(1, 0), SQUARE).nearest
    assert [round(away, 6) for _, away in nearest[:2]] == [1.0, 9.0]


def far_families():
    """Three families over the same places. Each holds wins on one side and losses on the other side."""
    return [
        case(family, "win" if x < 5 else "loss", x, y + shift / 2)
        for shift, family in enumerate("abc")
        for x in (0, 1, 9, 10)
        for y in (-5, 5)
    ]


def test_the_score_is_the_mean_log_loss_of_each_family_from_the_others():
    cases = far_families()
    found = score(cases)
    losses, constants = [], []
    for one in cases:
        others = [c for c in cases if c.family != one.family]
        losses.append(-math.log(chances_at(one.inputs, others)[one.outcome]))
        constants.append(-math.log(constant_chances(others)[one.outcome]))
    assert (found.cases, found.predicted, found.families) == (24, 24, 3)
    assert found.loss == pytest.approx(np.mean(losses))
    assert found.constant_loss == pytest.approx(np.mean(constants))
    assert found.difference.value == pytest.approx(np.mean(losses) - np.mean(constants))
    assert found.difference.high < 0


def test_outcomes_that_the_inputs_do_not_tell_score_no_better_than_the_constant():
    draw = np.random.default_rng(3)
    cases = [replace(c, **KINDS[draw.choice(["win", "loss"])]) for c in far_families()]
    assert score(cases).difference.high > 0


def test_a_family_outside_the_others_is_not_scored():
    """The far family is not predicted from the near families, and the near families lie in their own hull."""
    cases = [*far_families(), case("d", "win", 100), case("d", "loss", 101)]
    found = score(cases)
    assert (found.cases, found.predicted, found.families) == (26, 24, 3)


@pytest.mark.parametrize(
    ("cases", "scored"),
    [
        (far_families(), True),
        ([case("a", "win"), case("a", "loss"), case("b", "win")], False),
        ([case("a", "win"), case("b", "loss")], False),
        ([], False),
    ],
)
def test_a_score_needs_two_families_with_different_outcomes(cases, scored):
    assert (why_not_scored(cases) is None) is scored


def test_predictions_that_beat_the_constant_answer_are_trusted():
    assert why_not_trusted(far_families()) is None


def test_predictions_that_are_not_scored_are_withheld():
    """Two decided outcomes in one place, as chain-92-05 has, tell a model nothing."""
    cases = [case("a", "tie", 0), case("b", "loss", 1)]
    found = predict(measured(0, 0), cases, why_not_trusted(cases))
    assert found.outcome is None
    assert found.reasons[0].startswith("predictions are not scored")


def test_predictions_of_one_family_are_withheld():
    """The wide family lies outside of the narrow family's hull, so that a single family would be scored."""
    wide = [case("wide", "win", 100), case("wide", "loss", 110)]
    narrow = [case("narrow", "win", 105), case("narrow", "loss", 106)]
    assert score([*wide, *narrow]).families == 1
    assert (why_not_trusted([*wide, *narrow]) or "").startswith("predictions are not scored")


def test_predictions_no_better_than_the_constant_answer_are_withheld():
    draw = np.random.default_rng(3)
    cases = [replace(c, **KINDS[draw.choice(["win", "loss"])]) for c in far_families()]
    assert (why_not_trusted(cases) or "").startswith("scored predictions are no better")


def test_the_labs_cases_are_those_of_its_records():
    """``python -m benchmarks.lab.measured`` prints these rows."""
    stored = {c.name: replace(c, corrected=None) for c in read_cases() if c.record.startswith("benchmarks/lab/")}
    computed = [case_of(row) for folder in cell_folders() for row in cases_of(folder)]
    assert {c.name: c for c in computed} == stored


@pytest.mark.parametrize("one", read_cases(), ids=lambda c: c.name)
def test_a_committed_case_has_all_inputs_and_an_existing_record(one):
    assert set(one.inputs) == set(UNITS)
    assert (ROOT / one.record).exists()
    assert one.condition


TINY = [one for one in read_cases() if one.family == "tiny world"]
DEMOS = [
    one for one in TINY if one.pairs == 1
]  # tests/stages/test_seed_pairs_record.py reads the comparison over seeds
DIAGNOSED = ROOT / "benchmarks" / "results" / "diagnosis-tiny-world-2026-11-28"


@pytest.mark.parametrize("one", DEMOS, ids=lambda c: c.name)
def test_a_demos_case_is_its_record(one):
    """The first table with both arms has policy, accuracy, greedy accuracy and mean tokens."""
    path = ROOT / one.record
    page = (path / "README.md" if path.is_dir() else path).read_text()
    ours, theirs = (table_row(page, arm) for arm in ("JudgeRLVR", "vanilla, equal steps"))
    assert one.accuracy.mean == pytest.approx(ours[0] - theirs[0], abs=1e-4)
    assert one.shortening.mean == pytest.approx(math.log(theirs[2] / ours[2]), abs=1e-3)
    assert one.tokens == pytest.approx(ours[2], abs=0.05)


@pytest.mark.parametrize("one", TINY, ids=lambda c: c.name)
def test_the_tiny_worlds_inputs_are_those_of_the_diagnosis(one):
    inputs = json.loads((DIAGNOSED / "diagnosis.json").read_text())["inputs"]
    assert {name: round(value["value"], 4) for name, value in inputs.items()} == one.inputs


def table_row(page, arm):
    line = next(line for line in page.splitlines() if line.startswith(f"| {arm} |"))
    return [float(cell.split()[0]) for cell in line.split("|")[2:5]]


def test_cases_that_all_ended_alike_predict_nothing():
    losses = [case("a", "loss", 0, 0), case("b", "loss", 10, 0), case("b", "tie", 5, 0, failed_checks=("entropy",))]
    found = predict(measured(1, 0), losses)
    assert found.outcome is None
    assert found.reasons == ("every decided case of the 3 measured ones is a loss",)


def test_the_page_tells_the_state_of_the_committed_cases():
    """While cases tell nothing apart, nothing is predicted and nothing is scored."""
    cases, text = read_cases(), (ROOT / "docs" / "diagnosis.md").read_text()
    page = " ".join(text.split())
    known = len(decided(cases))
    assert f"{len(cases)} measured cases, and {known} of them {'is' if known == 1 else 'are'} decided" in page
    assert (why_not_scored(cases) is not None) == ("**Predictions are not scored**" in page)
    assert all(f"| {c.name} | {c.outcome} | {c.open_because or '-'} |" in text for c in cases)
