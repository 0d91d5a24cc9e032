"""``--judge-steps`` without an engine: each number against a plain count over the stored samples, and bad values."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest

from data.jsonl import write_jsonl
from judgerlvr import make_judge_data
from judgerlvr.cli import stage_parser
from judgerlvr.config.effective import configure
from judgerlvr.config.load import ROOT
from judgerlvr.diagnose import main
from judgerlvr.diagnosis import judge_stage
from judgerlvr.diagnosis.cases import read_cases
from judgerlvr.diagnosis.draws import EVERY_STEP, NO_RECHECKS
from judgerlvr.diagnosis.transfer import TRANSFER, is_well_formed, why_no_prediction
from judgerlvr.experiments.commands import CommandEnded
from judgerlvr.sampling import sampler
from judgerlvr.tinyworld.making.checkpoint import base_path
from judgerlvr.tinyworld.problems import generate_problems, write_problems
from tests.helpers.commands import exit_code_of
from tests.helpers.records import record as made
from tests.helpers.run_folders import step_row, write_checkpoint, write_run_folder
from tests.helpers.stage_runs import write_candidates
from tests.helpers.tiny_sampler import TinySampler

TINY = ["--prompt", "configs/prompts/tiny_generate.txt", "--judge-prompt", "configs/prompts/tiny_judge.txt"]
SMALL = ["judge.batch.prompts_per_step=4", "judge.batch.samples_per_prompt=4", "judge.batch.updates_per_step=2"]
STAGE = ["--judge-steps", "2", "--judge-config", "configs/tiny.yaml", "--judge-set", *SMALL]
N, PROBLEMS, GROUPS = 8, 12, 5


def arguments(data, out, *more):
    places = ["--model", str(base_path("qwen3_moe")), "--data", str(data), "--out", str(out)]
    return [*places, "--n", str(N), "--max-tokens", "160", "--workers", "1", *TINY, *more]


class Taught(TinySampler):
    """The policy of the stage solves half of what it failed. Some of its solutions have no box, and some are cut."""

    def __init__(self, model_dir, context, engine):
        super().__init__(model_dir, context, engine)
        self.taught = Path(model_dir).name == judge_stage.POLICY

    def respond(self, draw, item, style):
        if self.taught and item.label is None and (luck := draw.random()) < 0.6:
            return f"<think>\n</think>\n\\boxed{{{item.problem.gold}}}" if luck < 0.5 else "<think>\n</think>\n7"
        return super().respond(draw, item, style)

    def _one(self, prompts, place, index, decoding, banned):
        sample = super()._one(prompts, place, index, decoding, banned)
        return replace(sample, finish_reason="length") if self.taught and index == place % N == 3 else sample


def stage(module, *words):
    """What the command leaves behind. Its own parser reads the words, and the data command makes the judge set."""
    assert module == "stage1_judge"
    options = stage_parser("stage", "").parse_intermixed_args(words)
    config = configure(options.config, options.overrides).config
    run = Path(config.runs) / config.name
    assert make_judge_data.main([str(run), "--config", str(options.config), *options.overrides]) == 0
    rows = [step_row(step, more={"sampling/groups": GROUPS}) for step in (1, 2)]
    write_run_folder(run, "judge", rows)
    write_checkpoint(run / "checkpoints" / "global_step_2", config.judge.stop.steps, tokens=321)
    shutil.copytree(config.model.path, options.out)


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "heldout.jsonl"
    write_problems(path, generate_problems(PROBLEMS, 0, "heldout"))
    return path


def diagnosed(out, problems, *more, call=stage):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler, "Sampler", Taught)
        patch.setattr(judge_stage, "call", call)
        return main(arguments(problems, out, *STAGE, *more))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, problems):
    out = tmp_path_factory.mktemp("out") / "d"
    assert diagnosed(out, problems) == 0
    return out


@pytest.fixture(scope="module")
def record(folder):
    return json.loads((folder / "transfer.json").read_text())


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def sides(folder, problems):
    """Samples at temperature 1 of every second problem, before and after."""
    texts = [row["problem"] for row in read(problems)][::2]
    every = {"before": read(folder / "samples.jsonl"), "after": read(folder / "after" / "samples.jsonl")}
    return {
        side: [s for s in rows if s["decoding"] != "greedy" and any(text in s["prompt"] for text in texts)]
        for side, rows in every.items()
    }


def solutions(rows, banned=False):
    kept = [s for s in rows if s["kind"] == "generate" and s["set"] != EVERY_STEP]
    return [s for s in kept if (s["set"] == NO_RECHECKS) == banned]


def verdicts(rows):
    return [s for s in rows if s["kind"] == "judge"]


def test_the_gain_is_pass_at_1_after_less_before(record, sides):
    after, before = (mean(s["score"] for s in solutions(sides[side])) for side in ("after", "before"))
    assert after - before > 0.1
    assert record["gain"]["value"] == pytest.approx(after - before)
    assert record["gain"]["low"] < after - before < record["gain"]["high"]


SIDES = ["before", "after"]


@pytest.mark.parametrize("side", SIDES)
def test_pass_at_1_and_tokens_of_a_side(record, sides, side):
    rows = solutions(sides[side])
    assert len(rows) == record["samples"] == N * PROBLEMS // 2
    assert record[side]["pass_at_1"]["value"] == pytest.approx(mean(s["score"] for s in rows))
    assert record[side]["tokens"]["value"] == pytest.approx(mean(s["tokens"] for s in rows))


@pytest.mark.parametrize("side", SIDES)
def test_the_premium_of_a_side(record, sides, side):
    natural, without = (mean(s["score"] for s in solutions(sides[side], banned)) for banned in (False, True))
    assert record[side]["premium"]["value"] == pytest.approx(natural - without)


@pytest.mark.parametrize("side", SIDES)
def test_judging_of_a_side(record, sides, side):
    rows = verdicts(sides[side])
    recalls = [mean(s["verdict"] is label for s in rows if s["label"] is label) for label in (True, False)]
    assert record[side]["balanced_accuracy"]["value"] == pytest.approx(mean(recalls))
    assert record[side]["tokens_a_verdict"]["value"] == pytest.approx(mean(s["tokens"] for s in rows))


@pytest.mark.parametrize("side", SIDES)
def test_well_formed_and_truncated_solutions_of_a_side(record, sides, side):
    rows = solutions(sides[side])
    cut = [s["finish_reason"] == "length" for s in rows]
    formed = [("boxed" in s["response"]) and not c for s, c in zip(rows, cut, strict=True)]
    assert record[side]["truncated"]["value"] == pytest.approx(mean(cut))
    assert record[side]["well_formed"]["value"] == pytest.approx(mean(formed))


def test_some_solutions_after_are_cut_and_some_have_no_answer(record):
    """Else the test above could not fail."""
    assert 0 < record["after"]["truncated"]["value"] < 1 - record["after"]["well_formed"]["value"]


def test_both_sides_judge_the_same_prompts(sides):
    before, after = (sorted(s["prompt"] for s in verdicts(sides[side])) for side in SIDES)
    assert before == after != []


def test_no_measured_problem_is_judged_in_training(folder, sides):
    measured = {s["problem_id"] for s in sides["before"]}
    judged = {row["problem_id"] for row in read(folder / judge_stage.CANDIDATES)}
    assert len(measured) == len(judged) == PROBLEMS // 2
    assert measured & judged == set()


def test_the_record_says_what_was_trained(record):
    found = record["trained"]
    assert (found["asked_steps"], found["steps"], found["tokens"]) == (2, 2, 321)
    assert found["samples"] == 2 * GROUPS * 4
    assert found["prompts"] > 0


def test_the_page_says_that_a_stage_was_trained_and_that_nothing_is_predicted(folder):
    page = (folder / "transfer.md").read_text()
    assert "a judge stage was trained by RL: 2 steps, 40 verdicts sampled, 321 tokens" in page
    assert f"no prediction from transfer: none of the {len(read_cases())} measured cases has transfer" in page


def test_the_stage_reads_the_users_configuration(record):
    words = record["command"]
    assert words[words.index("--config") + 1] == "configs/tiny.yaml"
    assert set(SMALL) <= set(words)


def test_the_diagnosis_before_the_stage_is_that_without_a_stage(folder, problems, tmp_path, monkeypatch):
    monkeypatch.setattr(sampler, "Sampler", Taught)
    assert main(arguments(problems, tmp_path / "plain")) == 0
    plain, here = (json.loads((place / "diagnosis.json").read_text()) for place in (tmp_path / "plain", folder))
    assert plain["measures"] == here["measures"]


def test_a_stage_that_fails_leaves_the_diagnosis(tmp_path, problems):
    def fail(module, *_):
        raise CommandEnded(module, 1)

    assert diagnosed(tmp_path / "out", problems, call=fail) == 1
    assert (tmp_path / "out" / "diagnosis.json").exists()
    assert not (tmp_path / "out" / "transfer.json").exists()


def test_given_candidates_leave_all_other_problems_to_be_measured(tmp_path, problems):
    write_candidates(tmp_path / "candidates.jsonl")
    assert diagnosed(tmp_path / "out", problems, "--judge-data", str(tmp_path / "candidates.jsonl")) == 0
    record = json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert record["problems"] == PROBLEMS
    assert record["trained"]["source"] == "--judge-data"


def test_a_folder_with_a_stage_is_not_used_again(folder, problems, capsys):
    (folder / "diagnosis.md").rename(folder / "aside.md")
    assert diagnosed(folder, problems) == 2
    (folder / "aside.md").rename(folder / "diagnosis.md")
    assert "exists; remove it, or give another --out" in capsys.readouterr().err


BAD = {
    "--judge-steps 0": "--judge-steps is 0; give a number at least 1",
    "--judge-steps -3": "--judge-steps is -3; give a number at least 1",
    "--judge-steps nan": "--judge-steps",
    "--judge-steps few": "invalid int value: 'few'",
    "--judge-steps 1.5": "invalid int value: '1.5'",
    "--judge-config none.yaml": "none.yaml",
    "--judge-set judge.batch.updates_per_step=3": "make it divide 4",
    "--judge-set judge.none=1": "judge.none",
    "--judge-set judge.stop.steps=9": "--judge-set judge.stop.steps, which --judge-steps decides",
    "--judge-set judge.data.verdicts=[Right,Wrong]": "'judge.data.verdicts': differs from what",
    "--judge-set judge.data.prompt=configs/prompts/judge.txt": "'judge.data.prompt': differs from what",
    "--judge-set judge.batch.prompts_per_step=400": "the solutions of 5 problems give at most 10",
    "--judge-data none.jsonl": "none.jsonl",
    "--limit 1": "1 problem to measure and to judge",
    "--limit 3": "3 problems to measure and to judge; give at least 4",
}


class Unloaded:
    """A model that must not be loaded."""

    def __init__(self, *_):
        raise AssertionError("a model was loaded")


@pytest.mark.parametrize("given", BAD)
def test_bad_values_are_one_line_before_a_model_is_loaded(problems, tmp_path, capsys, monkeypatch, given):
    monkeypatch.setattr(sampler, "Sampler", Unloaded)
    assert exit_code_of(main, arguments(problems, tmp_path / "out", *STAGE, *given.split())) == 2
    message = capsys.readouterr().err
    assert BAD[given] in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--judge-steps", "2"], "--judge-steps without --judge-config"),
        (["--judge-config", "configs/tiny.yaml"], "--judge-config without --judge-steps"),
        (["--judge-set", "seed=1"], "--judge-set without --judge-steps"),
        (["--judge-data", "x.jsonl"], "--judge-data without --judge-steps"),
    ],
)
def test_options_need_their_partners(problems, tmp_path, capsys, given, message):
    assert main(arguments(problems, tmp_path / "out", *given)) == 2
    assert message in capsys.readouterr().err


def test_candidates_of_all_problems_leave_nothing_to_measure(problems, tmp_path, capsys):
    rows = [{**row, "response": "\\boxed{1}"} for row in read(problems)]
    write_jsonl(tmp_path / "candidates.jsonl", rows)
    given = ["--judge-data", str(tmp_path / "candidates.jsonl")]
    assert main(arguments(problems, tmp_path / "out", *STAGE, *given)) == 2
    assert "has solutions of all 12 problems" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "formed"),
    [({"answer": "1"}, True), ({"answer": None}, False), ({"answer": "1", "finish_reason": "length"}, False)],
)
def test_well_formed(changes, formed):
    assert is_well_formed(made(**changes)) is formed


def test_a_case_with_transfer_would_be_told():
    cases = read_cases()
    told = replace(cases[0], inputs={**cases[0].inputs, TRANSFER: 0.1})
    assert why_no_prediction([told, *cases[1:]]).startswith(f"1 of {len(cases)} measured cases have transfer")


def test_the_page_names_every_option_and_file():
    page = (ROOT / "docs" / "diagnosis.md").read_text()
    names = ["--judge-steps", "--judge-config", "--judge-set", "--judge-data", "transfer.json", "transfer.md"]
    names += [judge_stage.RUN, judge_stage.POLICY, judge_stage.CANDIDATES, judge_stage.AFTER]
    assert [name for name in names if f"`{name}" not in page] == []
