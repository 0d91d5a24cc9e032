"""The summary over seeds against a naive twin, which reads the evaluations and integrates Student's density itself."""

import json
import math
import re

import pytest
import yaml

from judgerlvr.evaluation.run import Settings
from judgerlvr.experiments import command
from judgerlvr.experiments.over_seeds import compared, rows_of, to_markdown, write_over_seeds
from judgerlvr.experiments.pairs import Numbers, Pair, differences, t_interval
from judgerlvr.experiments.plan import PLAN, read_plan
from judgerlvr.experiments.plan_values import OVER_SEEDS
from judgerlvr.sampling.decoding import Decoding
from tests.helpers.report_runs import write_synthetic_evaluation

ARMS = {
    "JudgeRLVR": {"stages": [{"stage": "judge", "name": "judge"}, {"stage": "generate", "name": "generate"}]},
    "vanilla": {"stages": [{"stage": "generate", "name": "vanilla"}], "match": "JudgeRLVR", "by": "steps"},
    "longer": {"stages": [{"stage": "generate", "name": "longer"}], "match": "JudgeRLVR", "by": "tokens"},
}
# Share of right samples and mean tokens by evaluation.
MADE = {
    "generate/eval/final": (0.8, 40),
    "vanilla/eval/final": (0.6, 60),
    "longer/eval/final": (0.65, 55),
    "longer/eval/step_24": (0.6, 58),
}


def quantile(freedom, share):
    """Student's quantile by bisection of Simpson's rule over the density."""
    scale = math.gamma((freedom + 1) / 2) / math.sqrt(freedom * math.pi) / math.gamma(freedom / 2)

    def below(end, parts=2000):
        step = end / parts
        density = [scale * (1 + (i * step) ** 2 / freedom) ** (-(freedom + 1) / 2) for i in range(parts + 1)]
        return 0.5 + step / 3 * (density[0] + density[-1] + 4 * sum(density[1:-1:2]) + 2 * sum(density[2:-1:2]))

    low, high = 0.0, 100.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < share else (low, middle)
    return low


def naive(values):
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    reach = quantile(len(values) - 1, 0.975) * deviation / math.sqrt(len(values))
    return mean, mean - reach, mean + reach


def ends(estimate):
    return estimate.value, estimate.low, estimate.high


def write_experiment(folder, seeds, done=None):
    folder.mkdir(exist_ok=True)
    (folder / PLAN).write_text(yaml.safe_dump({"arms": ARMS, "seeds": list(seeds)}, sort_keys=False))
    for seed in seeds if done is None else done:
        home = folder / f"seed-{seed}" if len(seeds) > 1 else folder
        for number, (place, (right, tokens)) in enumerate(MADE.items()):
            write_synthetic_evaluation(home / place, right, 0.5, tokens, seed=10 * seed + number)
    return folder, read_plan(folder / PLAN)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    folder, plan = write_experiment(tmp_path_factory.mktemp("three"), (1, 2, 3))
    return folder, plan, list(rows_of(plan, folder))


def summary_of(folder, seed, place, decoding):
    """(accuracy, mean tokens) as the evaluation's own file has them."""
    found = json.loads((folder / f"seed-{seed}" / place / "summary.json").read_text())["results"]
    greedy = decoding == "greedy"
    row = next(one for one in found if one["kind"] == "generate" and (one["decoding"]["temperature"] == 0) == greedy)
    return row["accuracy"]["value"], row["tokens"]["all"]["mean"]["value"]


PLACES = {
    "JudgeRLVR": "generate/eval/final",
    "vanilla": "vanilla/eval/final",
    "longer": "longer/eval/final",
    "longer at equal steps": "longer/eval/step_24",
}


@pytest.mark.parametrize("values", [[1.0, 2.0], [0.3, -0.1, 0.2], [5.0, 5.5, 4.0, 9.0, 2.0, 2.5, 7.0]])
def test_an_interval_against_the_twin(values):
    assert ends(t_interval(values)) == pytest.approx(naive(values), rel=1e-6)


@pytest.mark.parametrize("values", [[0.01] * 3, [0.1 + 0.2, 0.3], [0.0, 0.0]])
def test_values_without_spread_have_no_interval(values):
    found = t_interval(values)
    assert found.value == pytest.approx(values[0]) and math.isnan(found.low) and math.isnan(found.high)


def test_all_rows_against_the_twin(three):
    folder, _, rows = three
    for row in rows:
        both = [
            [summary_of(folder, s, PLACES[name], row.decoding) for s in (1, 2, 3)] for name in (row.ours, row.theirs)
        ]
        accuracy = [a[0] - b[0] for a, b in zip(*both, strict=True)]
        tokens = [a[1] - b[1] for a, b in zip(*both, strict=True)]
        ratio = naive([math.log(a[1] / b[1]) for a, b in zip(*both, strict=True)])
        assert ends(row.found.accuracy) == pytest.approx(naive(accuracy), rel=1e-6)
        assert ends(row.found.tokens) == pytest.approx(naive(tokens), rel=1e-6)
        assert ends(row.found.tokens_share) == pytest.approx([math.exp(end) - 1 for end in ratio], rel=1e-6)


def test_each_arm_has_a_row_for_each_decoding(three):
    _, plan, rows = three
    assert [(row.ours, row.theirs, row.decoding) for row in rows] == [
        (*pair, decoding) for pair in compared(plan) for decoding in ("sampled", "greedy")
    ]


def test_arms_are_compared_with_vanilla_and_with_their_matched_arms(three):
    assert compared(three[1]) == [
        ("JudgeRLVR", "vanilla"),
        ("longer", "vanilla"),
        ("longer at equal steps", "vanilla"),
        ("JudgeRLVR", "longer"),
        ("JudgeRLVR", "longer at equal steps"),
    ]


def test_without_vanilla_the_first_arm_is_the_reference(tmp_path):
    (tmp_path / PLAN).write_text(
        yaml.safe_dump({"arms": {"a": ARMS["JudgeRLVR"], "b": {**ARMS["longer"], "match": "a"}}})
    )
    assert compared(read_plan(tmp_path / PLAN)) == [("b", "a"), ("b at equal steps", "a")]


def test_one_seed_has_no_interval(tmp_path, capsys):
    folder, plan = write_experiment(tmp_path / "one", (4,))
    write_over_seeds(plan, folder)
    page = (folder / OVER_SEEDS[0]).read_text()
    assert "n = 1, no interval" in capsys.readouterr().out and "| n = 1, no interval |" in page
    # No cell of differences has brackets.
    assert not re.search(r"\| [+-][\d.]+ \[", page)


def test_both_files_say_the_same(three, capsys):
    folder, plan, rows = three
    write_over_seeds(plan, folder)
    data = json.loads((folder / OVER_SEEDS[1]).read_text())["rows"]
    assert [row["differences"]["accuracy"]["value"] for row in data] == [row.found.accuracy.value for row in rows]
    assert (folder / OVER_SEEDS[0]).read_text() == to_markdown(rows)
    assert "over seeds: JudgeRLVR against vanilla, heldout, sampled: accuracy +" in capsys.readouterr().out


def test_seeds_that_are_not_evaluated_yet_are_left_out(tmp_path):
    folder, plan = write_experiment(tmp_path / "some", (1, 2, 3), done=(1, 2))
    assert {len(row.pairs) for row in rows_of(plan, folder)} == {2}


def test_an_arm_alone_has_no_summary(tmp_path):
    (tmp_path / PLAN).write_text(yaml.safe_dump({"arms": {"JudgeRLVR": ARMS["JudgeRLVR"]}}))
    write_over_seeds(read_plan(tmp_path / PLAN), tmp_path)
    assert not (tmp_path / OVER_SEEDS[0]).exists()


def test_evaluations_with_other_settings_are_marked(tmp_path):
    folder, plan = write_experiment(tmp_path / "one", (4,), done=())
    for place, n in (("generate/eval/final", 4), ("vanilla/eval/final", 2)):
        settings = Settings(Decoding(n=n, max_tokens=128))
        write_synthetic_evaluation(folder / place, 0.5, 0.5, 40, settings=settings)
    assert {row.alike for row in rows_of(plan, folder)} == {False}
    assert "DIFFERENT SETTINGS" in to_markdown(list(rows_of(plan, folder)))


def test_unknown_tokens_are_null_and_leave_accuracy_alone():
    found = differences([Pair(s, Numbers(0.5 + s / 10, math.nan), Numbers(0.4, 30.0)) for s in (1, 2)])
    assert found.accuracy.value == pytest.approx(0.25) and math.isnan(found.tokens_share.value)


def test_an_experiment_writes_the_summary_after_each_seed(tmp_path, commands, monkeypatch):
    reported = []
    seen = lambda plan, out: reported.append(sum(module == "report" for module, _ in commands.seen))  # noqa: E731
    monkeypatch.setattr(command, "write_over_seeds", seen)
    _, plan = write_experiment(tmp_path / "plan", (1, 2), done=())
    command.run_experiment(plan, tmp_path / "out")
    assert reported == [1, 2]
