"""Parts of the pipeline that are plain functions: hand-over, budgets, manifests, resumed state."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data.hashing import file_sha256
from data.identity import EARLIER_TURNS
from data.labelling import Triplet
from judgerlvr.config.load import ROOT, load_config, to_yaml
from judgerlvr.engine.in_training.rollout_stats import step_metrics
from judgerlvr.engine.in_training.rollouts import Rollout
from judgerlvr.export.change import Change
from judgerlvr.export.policy import Exported
from judgerlvr.pipeline import refresh, stages
from judgerlvr.pipeline.export import check_link, publish
from judgerlvr.runs.checkpoints import SEAL, complete
from judgerlvr.runs.folder import CONFIG, OpenedRun, defaults_taken, open_run
from judgerlvr.runs.manifest import MANIFEST, parent_run, read_manifest
from judgerlvr.runs.metrics import METRICS, read_metrics
from judgerlvr.runs.resume_state import load_stage, save_stage, trim_metrics
from judgerlvr.runs.stage import STATE, STOP
from judgerlvr.sampling import match_tokens
from judgerlvr.sampling.match_tokens import prompts_for
from rewards.errors import InputError
from rewards.types import Problem
from tests.helpers.run_folders import write_checkpoint

BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"


def export(tmp_path, run):
    folder = tmp_path / "runs" / run / "checkpoints" / "global_step_1" / "policy"
    folder.mkdir(parents=True)
    return folder


def test_publish_replaces_a_link_in_one_step(tmp_path):
    link = tmp_path / "ckpt" / "judge"
    publish(link, export(tmp_path, "a"), tmp_path / "runs" / "a")
    publish(link, export(tmp_path, "b"), tmp_path / "runs" / "a")
    assert link.resolve() == (tmp_path / "runs/b/checkpoints/global_step_1/policy").resolve()
    assert [path.name for path in link.parent.iterdir()] == ["judge"]


def test_link_of_the_same_run_may_be_renewed(tmp_path):
    publish(tmp_path / "judge", export(tmp_path, "a"), tmp_path / "runs" / "a")
    check_link(tmp_path / "judge", tmp_path / "runs" / "a")


def test_link_of_another_run_is_refused(tmp_path):
    publish(tmp_path / "judge", export(tmp_path, "a"), tmp_path / "runs" / "a")
    with pytest.raises(InputError, match="give another --out"):
        check_link(tmp_path / "judge", tmp_path / "runs" / "b")


def test_parent_run_is_found_through_the_link(tmp_path):
    publish(tmp_path / "judge", export(tmp_path, "a"), tmp_path / "runs" / "a")
    (tmp_path / "runs" / "a" / MANIFEST).write_text("{}")
    assert parent_run(tmp_path / "judge") == "a"
    assert parent_run(tmp_path) is None


def matched(config, generate_tokens, judge_tokens, rows):
    batches = config.generate.batch, config.judge.batch
    return prompts_for(*batches, config.cluster, (generate_tokens, judge_tokens), rows)


def test_matched_prompts_cost_the_same_tokens():
    config = load_config("configs/tiny.yaml")
    generate = config.generate.batch
    prompts = matched(config, 64.0, 16.0, rows=1000)
    assert (
        prompts * config.judge.batch.samples_per_prompt * 16
        == generate.prompts_per_step * generate.samples_per_prompt * 64
    )


def test_matched_prompts_divide_by_the_updates():
    config = load_config("configs/tiny.yaml", ["judge.batch.updates_per_step=4"])
    assert matched(config, 61.7, 17.3, rows=1000) % 4 == 0


@pytest.mark.parametrize("samples", [2, 3, 8, 12])
@pytest.mark.parametrize("ranks", [1, 2, 8, 16])
@pytest.mark.parametrize("rows", [70, 1000])
def test_matched_prompts_divide_among_ranks_and_are_there(samples, ranks, rows):
    config = load_config(
        "configs/tiny.yaml", [f"judge.batch.samples_per_prompt={samples}", f"cluster.gpus_per_node={ranks}"]
    )
    prompts = matched(config, 61.7, 17.3, rows=rows)
    assert prompts // config.judge.batch.updates_per_step * samples % ranks == 0
    assert prompts % config.judge.batch.updates_per_step == 0
    assert prompts <= rows


def test_matched_prompts_are_measured_on_the_prompts_of_training():
    """Earlier turns of a problem count in both prompts."""
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    problem = Problem("p", "1 + 1?", "2", {EARLIER_TURNS: turns})
    triplet = Triplet(problem, "two", "2", True, "model", "id")
    solving, judging = match_tokens._items("{{problem}}", "{{problem}} {{response}}", [triplet])
    assert solving[0].prompt[:2] == turns
    assert "assistant: Hi" in judging[0].prompt[0]["content"]


def test_tokens_of_candidates_are_counted_once(make_stage, tmp_path):
    stage = make_stage("judge", tokens_before=500, init=BASE)
    for name in ("train", "heldout"):
        getattr(stage, name).write_text("x")
    hashes = {name: file_sha256(getattr(stage, name)) for name in ("train", "heldout")}
    (tmp_path / MANIFEST).write_text(json.dumps({"data": hashes}))
    save_stage(stage)
    opened = OpenedRun(tmp_path, stage.config, read_manifest(tmp_path), None)
    assert load_stage(opened, None).tokens_before == 500
    assert load_stage(replace(opened, checkpoint=tmp_path / "global_step_1"), None).tokens_before == 0


def test_a_run_of_another_checkout_is_graded_by_this_one(make_stage, tmp_path):
    stage = make_stage("judge", init=BASE, reward_function="/gone/rewards/verl_adapter.py:judge_score")
    for path in (stage.train, stage.heldout):
        path.write_text("x")
    save_stage(stage)
    (tmp_path / MANIFEST).write_text(json.dumps({"data": {}}))
    opened = OpenedRun(tmp_path, stage.config, read_manifest(tmp_path), None)
    file, _, name = load_stage(opened, None).reward_function.rpartition(":")
    assert Path(file).is_file() and name == "judge_score"


@pytest.mark.parametrize("older", [False, True], ids=["", "state of an older version"])
def test_changed_training_data_is_refused(make_stage, tmp_path, older):
    stage = make_stage()
    for path in (stage.train, stage.heldout):
        path.write_text("old")
    (tmp_path / MANIFEST).write_text(json.dumps({"data": {"train": file_sha256(stage.train)}}))
    save_stage(stage)
    if older:
        state = json.loads((tmp_path / STATE).read_text())
        (tmp_path / STATE).write_text(json.dumps({name: value for name, value in state.items() if name != "hashes"}))
    stage.train.write_text("new")
    with pytest.raises(InputError, match="differs from what the run began with"):
        load_stage(OpenedRun(tmp_path, stage.config, read_manifest(tmp_path), None), None)


def solving_run(make_stage, tmp_path):
    """A prepared judge run that also solves, as its resume opens the run."""
    stage = make_stage("judge", overrides=["judge.validation.every=1", "judge.solving.problems=4"], init=BASE)
    stage.data.mkdir()
    for path in (stage.train, stage.heldout, stage.validated):
        path.write_text("old")
    (tmp_path / MANIFEST).write_text(json.dumps({"data": {}}))
    save_stage(stage)
    return stage, OpenedRun(tmp_path, stage.config, read_manifest(tmp_path), None)


def test_a_resumed_judge_that_solves_grades_both_kinds(make_stage, tmp_path):
    stage, opened = solving_run(make_stage, tmp_path)
    again = load_stage(opened, None)
    assert again.reward_function.endswith(":compute_score") and again.validated == stage.validated


def test_changed_problems_to_solve_are_refused(make_stage, tmp_path):
    stage, opened = solving_run(make_stage, tmp_path)
    stage.validated.write_text("new")
    with pytest.raises(InputError, match="differs from what the run began with"):
        load_stage(opened, None)


def test_a_run_that_was_prepared_without_problems_to_solve_is_not_given_any(make_stage, tmp_path):
    """An older run's config.yaml may be given newer keys by hand."""
    stage, opened = solving_run(make_stage, tmp_path)
    stage.validated.unlink()
    with pytest.raises(InputError, match="the data of the run is gone"):
        load_stage(opened, None)


def run_of(folder, export):
    """A run folder with two sealed checkpoints whose manifest names ``export``."""
    for step in (1, 2):
        write_checkpoint(folder / "checkpoints" / f"global_step_{step}", step)
    (folder / CONFIG).write_text(to_yaml(load_config("configs/tiny.yaml")))
    (folder / MANIFEST).write_text(json.dumps({"stage": "judge", **export}))
    return folder


@pytest.mark.parametrize("export", [{}, {"export": "checkpoints/global_step_3/policy"}])
def test_a_run_whose_newest_checkpoint_is_no_published_policy_is_resumed(tmp_path, export):
    assert open_run(run_of(tmp_path, export), "judge").checkpoint == tmp_path / "checkpoints" / "global_step_2"


def test_a_run_is_opened_for_other_machines_and_its_folder_keeps_its_own(tmp_path):
    folder = run_of(tmp_path, {})
    before = (folder / CONFIG).read_text()
    assert open_run(folder, "judge", ["cluster.gpus_per_node=4"]).config.cluster.gpus_per_node == 4
    assert (folder / CONFIG).read_text() == before


def test_an_older_runs_missing_key_is_said_in_one_line(tmp_path):
    path = run_of(tmp_path, {}) / CONFIG
    path.write_text(path.read_text().replace("hysparse:\n  replay: true\n", ""))
    line = defaults_taken(tmp_path)
    assert "lacks newer keys, whose defaults are taken: hysparse.replay=True" in line and "\n" not in line


def test_a_resumed_run_says_it(make_stage, tmp_path, monkeypatch, capsys):
    path = run_of(tmp_path, {}) / CONFIG
    path.write_text(path.read_text().replace("hysparse:\n  replay: true\n", ""))
    monkeypatch.setattr(stages, "load_stage", lambda *_: make_stage("judge", init=BASE))
    for name in ("check_resumed", "_train"):
        monkeypatch.setattr(stages, name, lambda *_: None)
    stages.resume("judge", tmp_path, tmp_path / "policy")
    assert defaults_taken(tmp_path) in capsys.readouterr().out.splitlines()


def test_a_run_whose_policy_could_not_be_published_is_not_marked_as_over(make_stage, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no link can be made")

    monkeypatch.setattr(stages, "_train_to_the_end", lambda *_: tmp_path / "checkpoints" / "global_step_2")
    monkeypatch.setattr(stages, "export_policy", lambda *_: Exported(tmp_path, torch.float32, Change(1, 2, 2)))
    monkeypatch.setattr(stages, "publish", refuse)
    run_of(tmp_path, {})
    with pytest.raises(OSError, match="no link"):
        stages._train(make_stage(), tmp_path / "policy", None)
    assert read_manifest(tmp_path).export is None


@pytest.mark.parametrize(("steps", "trained"), [(5, "global_step_2"), (2, None)])
def test_a_run_that_only_its_policy_is_wanting_of_starts_no_engine(make_stage, tmp_path, monkeypatch, steps, trained):
    run_of(tmp_path, {"trained": trained})
    monkeypatch.setattr(stages, "run_stage", lambda _: pytest.fail("an engine was started"))
    checkpoint = tmp_path / "checkpoints" / "global_step_2"
    stage = make_stage(overrides=[f"generate.stop.steps={steps}"], resume_from=checkpoint)
    assert stages._train_to_the_end(stage, None) == checkpoint


def test_nothing_is_said_of_a_complete_configuration(tmp_path):
    assert defaults_taken(run_of(tmp_path, {})) == ""


def test_log_is_cut_back_to_the_checkpoint(tmp_path):
    (tmp_path / METRICS).write_text("".join(json.dumps({"step": step}) + "\n" for step in range(5)) + '{"st')
    trim_metrics(tmp_path, tmp_path / "global_step_2")
    assert [row.step for row in read_metrics(tmp_path / METRICS)] == [0, 1, 2]


@pytest.fixture
def segments(make_stage, tmp_path, monkeypatch):
    """A judge stage of five steps whose segments are noted and not trained. Returns (stage, resample, notes)."""
    trained = []

    def train(stage):
        trained.append((stage.settings.stop.steps, stage.train.name))
        checkpoint = tmp_path / "checkpoints" / f"global_step_{stage.settings.stop.steps}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "data.pt").touch()
        (checkpoint / SEAL).touch()
        return checkpoint

    def resample(policy, step):
        path = tmp_path / f"train-{step}.parquet"
        path.write_text("x")
        return path, 7

    monkeypatch.setattr(refresh, "run_stage", train)
    monkeypatch.setattr(refresh, "export_policy", lambda at: Exported(at, torch.float32, Change(1, 2, 2)))
    (tmp_path / MANIFEST).write_text(json.dumps({"data": {}}))
    stage = make_stage("judge", overrides=["judge.stop.steps=5"], init=BASE)
    for path in (stage.train, stage.heldout):
        path.write_text("x")
    save_stage(stage)
    return stage, resample, trained


SEGMENTS = [(2, "train.parquet"), (4, "train-2.parquet"), (5, "train-4.parquet")]


def test_refresh_trains_in_segments_with_new_data(segments):
    stage, resample, trained = segments
    assert refresh.train_in_segments(stage, 2, resample).name == "global_step_5"
    assert trained == SEGMENTS


@pytest.mark.parametrize("place", ["resample", "save_stage", "write_manifest"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_death_between_two_segments_costs_no_refresh(segments, tmp_path, monkeypatch, place, at):
    """The resumed run trains each segment on the data on which an unbroken run trains the segment."""
    stage, resample, trained = segments
    calls = []

    def dying(*arguments):
        calls.append(place)
        if len(calls) == at:
            raise KeyboardInterrupt
        return resample(*arguments) if place == "resample" else before(*arguments)

    before = None if place == "resample" else getattr(refresh, place)
    if place != "resample":
        monkeypatch.setattr(refresh, place, dying)
    with pytest.raises(KeyboardInterrupt):
        refresh.train_in_segments(stage, 2, dying if place == "resample" else resample)
    opened = OpenedRun(tmp_path, stage.config, read_manifest(tmp_path), complete(tmp_path / "checkpoints")[-1])
    assert refresh.train_in_segments(load_stage(opened, None), 2, resample).name == "global_step_5"
    assert trained == SEGMENTS


def test_a_stop_between_two_segments_ends_the_run(segments, tmp_path):
    stage, resample, trained = segments
    (tmp_path / STOP).touch()
    assert refresh.train_in_segments(stage, 2, resample).name == "global_step_2"
    assert trained == SEGMENTS[:1]


ROLLOUT = Rollout("p", 0, [1], [1, 2], 1.0, True, "correct", 0.1, False, True)


def test_verdict_metrics_against_a_naive_count():
    rollouts = [
        ROLLOUT,
        replace(ROLLOUT, correct=False, score=0.0, reason="wrong"),
        replace(ROLLOUT, label=False),
        replace(ROLLOUT, label=False, correct=False, score=0.0, reason="no_final_answer"),
        replace(ROLLOUT, label=False),
    ]
    metrics = step_metrics("judge", rollouts)
    assert metrics["judge/correct/accuracy"] == 1 / 2
    assert metrics["judge/wrong/accuracy"] == 2 / 3
    assert metrics["judge/balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert metrics["judge/accepted"] == 1 / 4


def test_length_is_split_by_outcome():
    rollouts = [
        ROLLOUT,
        replace(ROLLOUT, response_ids=[1] * 4, correct=False, reason="wrong"),
        replace(ROLLOUT, response_ids=[1] * 9, correct=False, reason="truncated", truncated=True),
    ]
    metrics = step_metrics("generate", rollouts)
    assert [metrics[f"tokens/{name}"] for name in ("correct", "wrong", "truncated")] == [2, 4, 9]
    assert (metrics["reason/wrong"], metrics["response/truncated"]) == (1, 1 / 3)
