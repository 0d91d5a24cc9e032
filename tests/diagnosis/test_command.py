"""The command without an engine: page, record, and each number against a plain count over the stored samples."""

import json
import math
import re
from collections import defaultdict
from itertools import combinations
from statistics import mean

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.diagnose import main, parse_arguments
from judgerlvr.diagnosis.draws import EVERY_STEP, FORCED, JUDGING, NO_RECHECKS
from judgerlvr.diagnosis.prediction import GROUP
from judgerlvr.sampling import sampler
from judgerlvr.tinyworld.making.checkpoint import base_path
from judgerlvr.tinyworld.problems import generate_problems, write_problems
from judgerlvr.tinyworld.task import compute, parse_chain
from tests.helpers.tiny_sampler import TinySampler

TINY = ["--prompt", "configs/prompts/tiny_generate.txt", "--judge-prompt", "configs/prompts/tiny_judge.txt"]
N = 8
STEP = re.compile(r"([a-z])=(\d+)([-+*])(\d+)=(\d+)(?: (ok|bad))?")


def arguments(data, out, *more):
    model = str(base_path("qwen3_moe"))
    return [
        "--model",
        model,
        "--data",
        str(data),
        "--out",
        str(out),
        "--n",
        str(N),
        "--max-tokens",
        "160",
        *TINY,
        *more,
    ]


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "heldout.jsonl"
    write_problems(path, generate_problems(12, 0, "heldout"))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory, problems):
    out = tmp_path_factory.mktemp("out") / "d"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler, "Sampler", TinySampler)
        # A file that is given twice counts once.
        assert main([*arguments(problems, out, "--workers", "1"), "--data", str(problems), str(problems)]) == 0
    return out


@pytest.fixture(scope="module")
def record(folder):
    return json.loads((folder / "diagnosis.json").read_text())


@pytest.fixture(scope="module")
def samples(folder):
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def solutions(samples, greedy=False, name=None):
    rows = [s for s in samples if s["kind"] == "generate" and (s["decoding"] == "greedy") == greedy]
    return [s for s in rows if (s["set"] if s["set"] in FORCED else None) == name]


def verdicts(samples, greedy=False):
    return [s for s in samples if s["kind"] == "judge" and (s["decoding"] == "greedy") == greedy]


def test_solving_is_counted_from_the_samples(record, samples):
    found, sampled, greedy = record["measures"]["solving"], solutions(samples), solutions(samples, greedy=True)
    assert len(sampled) == 12 * N
    assert len(greedy) == 12
    assert found["pass_at_1"]["value"] == pytest.approx(mean(s["score"] for s in sampled))
    gain = mean(s["score"] for s in greedy) - mean(s["score"] for s in sampled)
    assert found["greedy_gain"]["value"] == pytest.approx(gain)


@pytest.mark.parametrize("size", [4, 8])
def test_mixed_groups_are_the_share_over_all_groups(record, samples, size):
    """The naive twin forms each group of each problem."""
    scores = defaultdict(list)
    for sample in solutions(samples):
        scores[sample["problem_id"]].append(sample["score"])
    shares = [mean(len(set(group)) == 2 for group in combinations(values, size)) for values in scores.values()]
    assert record["measures"]["solving"]["mixed"][str(size)]["value"] == pytest.approx(mean(shares))


@pytest.mark.parametrize(("name", "score"), [("correct", 1.0), ("wrong", 0.0)])
def test_tokens_of_each_outcome(record, samples, name, score):
    expected = mean(s["tokens"] for s in solutions(samples) if s["score"] == score)
    assert record["measures"]["solving"]["tokens"][name]["value"] == pytest.approx(expected)


def test_judging_is_counted_from_the_verdicts(record, samples):
    found, said = record["measures"]["judging"], verdicts(samples)
    accepted = {label: mean(s["verdict"] is True for s in said if s["label"] is label) for label in (True, False)}
    refused = {label: mean(s["verdict"] is False for s in said if s["label"] is label) for label in (True, False)}
    assert found["false_yes"]["value"] == pytest.approx(accepted[False])
    assert found["false_no"]["value"] == pytest.approx(refused[True])
    assert found["balanced_accuracy"]["value"] == pytest.approx((accepted[True] + refused[False]) / 2)
    assert found["no_verdict"] == sum(s["verdict"] is None for s in said) > 0
    assert found["prompts"] == len(said) == len(verdicts(samples, greedy=True))


@pytest.mark.parametrize(("name", "greedy"), [("tokens", False), ("greedy_tokens", True)])
def test_tokens_a_verdict_are_those_of_the_verdicts(record, samples, name, greedy):
    expected = mean(s["tokens"] for s in verdicts(samples, greedy))
    assert record["measures"]["judging"][name]["value"] == pytest.approx(expected)


def test_the_page_has_tokens_a_sample_of_both_kinds(folder):
    page = (folder / "diagnosis.md").read_text()
    assert "| tokens a solution, all |" in page
    assert "| tokens a verdict |" in page


def test_judged_solutions_are_balanced_within_each_problem(samples):
    labels = defaultdict(list)
    for sample in verdicts(samples):
        labels[sample["problem_id"]].append(sample["label"])
    assert labels
    assert all(2 * sum(values) == len(values) for values in labels.values())


def test_the_premium_is_natural_less_no_rechecks(record, samples):
    without = solutions(samples, name=NO_RECHECKS)
    found = record["measures"]["traces"]
    expected = mean(s["score"] for s in solutions(samples)) - mean(s["score"] for s in without)
    assert found["premium"]["value"] == pytest.approx(expected)
    assert expected != 0
    assert found["kept_out"] == 1.0
    assert len(without) == 12 * N
    looks = [any(word in s["response"] for word in ("wait", "hmm", "check")) for s in solutions(samples)]
    assert found["rechecking"] == pytest.approx(mean(looks))


def test_the_forced_premium_is_every_step_rechecked_less_no_rechecks(record, samples):
    every, without = (solutions(samples, name=name) for name in (EVERY_STEP, NO_RECHECKS))
    found = record["measures"]["traces"]
    assert len(every) == 12 * N
    expected = mean(s["score"] for s in every) - mean(s["score"] for s in without)
    assert found["forced_premium"]["value"] == pytest.approx(expected)
    assert found["every_step"]["value"] == pytest.approx(mean(s["score"] for s in every))
    assert found["tokens_every_step"]["value"] == pytest.approx(mean(s["tokens"] for s in every))
    assert found["rechecked"] == 1.0


def test_wrong_values_among_the_checked_while_judging(record, samples, problems):
    """Steps of the shown solution are found again by plain text, line by line."""
    rows = map(json.loads, problems.read_text().splitlines())
    texts = {row["problem"]: parse_chain(row["problem"]) for row in rows}
    wrong, accepted = [], []
    for sample in verdicts(samples):
        chain = next(chain for text, chain in texts.items() if text in sample["prompt"])
        before = {"a": chain.start}
        for name, *_, value, _ in STEP.findall(sample["prompt"].partition("Solution:")[2]):
            before[name] = int(value)
        for name, _, operation, right, _, mark in STEP.findall(sample["response"].partition("</think>")[0]):
            left = before[chr(ord(name) - 1)]
            wrong.append(compute(operation, left, int(right), 30) != before[name])
            accepted.append(mark == "ok")
    found = record["measures"]["traces"]["judging"]
    assert found["checks"] == len(wrong) > 0
    assert found["wrong"]["value"] == pytest.approx(mean(wrong))
    assert found["false_yes"]["value"] == pytest.approx(mean(a for a, w in zip(accepted, wrong, strict=True) if w))
    assert found["false_no"]["value"] == pytest.approx(
        mean(not a for a, w in zip(accepted, wrong, strict=True) if not w)
    )


def test_wrong_values_among_the_checked_while_solving(record, samples):
    wrong, kept = [], []
    for sample in solutions(samples):
        steps = STEP.findall(sample["response"].partition("</think>")[0])
        for place, (name, left, operation, right, value, _) in enumerate(steps):
            earlier = [step for step in steps[:place] if step[0] == name]
            if earlier and earlier[-1][:4] == (name, left, operation, right):
                wrong.append(compute(operation, int(left), int(right), 30) != int(earlier[-1][4]))
                kept.append(value == earlier[-1][4])
    found = record["measures"]["traces"]["solving"]
    assert found["checks"] == len(wrong) > 0
    assert found["wrong"]["value"] == pytest.approx(mean(wrong))
    assert found["false_yes"]["value"] == pytest.approx(mean(k for k, w in zip(kept, wrong, strict=True) if w))


def test_the_record_tells_how_the_model_was_asked(record):
    assert record["judge_prompt"].startswith("Judge.")
    assert record["settings"]["decoding"]["n"] == N
    assert record["data"][0]["used"] == 12


def test_inputs_are_the_measures(record):
    found, solving = record["inputs"], record["measures"]["solving"]
    assert found["pass@1"] == solving["pass_at_1"]
    assert found["log2 of tokens"]["value"] == pytest.approx(math.log2(solving["tokens"]["all"]["value"]))


def test_groups_of_16_need_16_samples(record):
    """Eight samples a problem leave an input of the prediction out."""
    assert record["prediction"]["outcome"] is None
    assert any("not measured: mixed groups of 16" in reason for reason in record["prediction"]["reasons"])


def test_the_page_has_each_part_and_its_conditions(folder):
    page = (folder / "diagnosis.md").read_text()
    for text in (
        "## Solving",
        "## Judging",
        "## Checks in the traces",
        "no prediction",
        "nothing trained",
        "not scored",
    ):
        assert text in page


def test_a_second_diagnosis_does_not_overwrite_the_first(folder, problems, capsys):
    assert main(arguments(problems, folder)) == 2
    assert "this file exists" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["samples.jsonl", "summary.json"])
def test_an_evaluation_is_not_overwritten(tmp_path, problems, capsys, name):
    kept = tmp_path / name
    kept.write_text("an evaluation's\n")
    assert main(arguments(problems, tmp_path)) == 2
    assert "this file exists" in capsys.readouterr().err and kept.read_text() == "an evaluation's\n"


class Certain(TinySampler):
    """Solves every problem."""

    def respond(self, draw, item, style):
        return f"<think>\n</think>\n\\boxed{{{item.problem.gold}}}"


def test_other_data_and_a_model_without_errors(tmp_path, monkeypatch, capsys):
    """Nothing can be judged, no trace can be parsed, and the other numbers hold all the same."""
    data = tmp_path / "sums.jsonl"
    data.write_text("".join(json.dumps({"problem": f"{n}+1?", "gold": str(n + 1)}) + "\n" for n in range(3)))
    monkeypatch.setattr(sampler, "Sampler", Certain)
    assert main(arguments(data, tmp_path / "out", "--workers", "1")) == 0
    page = capsys.readouterr().out
    assert "not measured: nothing to judge: no wrong candidate among 24" in page
    assert "no other traces can be parsed" in page
    record = json.loads((tmp_path / "out" / "diagnosis.json").read_text())
    assert record["measures"]["solving"]["pass_at_1"]["value"] == 1.0
    assert record["measures"]["judging"] is record["measures"]["traces"] is None
    samples = (tmp_path / "out" / "samples.jsonl").read_text()
    assert JUDGING not in samples


BAD = {
    "--n 1": "--n is 1; give at least 2",
    "--n 0": "--n is 0; give a number at least 1",
    "--limit 0": "--limit is 0",
    "--data none.jsonl": "none.jsonl",
    "--model nowhere": "config.json is missing",
    "--judge-prompt none.txt": "no such prompt template",
    "--judge-prompt configs/prompts/tiny_generate.txt": "'response'",
    "--verdicts Right Wrong": "verdict word 'Right' does not occur; write the word into",
    "--engine x": "KEY=VALUE",
    "--max-tokens 100000": "over the model's context of 512",
}


@pytest.mark.parametrize("given", BAD)
def test_bad_input_is_one_line_and_exit_2(problems, tmp_path, capsys, given):
    assert main(arguments(problems, tmp_path / "out", *given.split())) == 2
    message = capsys.readouterr().err
    assert BAD[given] in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_defaults_measure_every_input_and_stand_on_the_page():
    options = parse_arguments(["--model", "m", "--data", "d"])
    page = " ".join((ROOT / "docs" / "diagnosis.md").read_text().split())
    assert options.n == GROUP
    assert f"One engine draws {options.n} solutions of each of the first {options.limit} problems" in page
