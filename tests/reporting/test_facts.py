"""Facts on the page against run folders made by the real writers."""

import json
import os
import socket
from dataclasses import asdict

import pytest

from judgerlvr.config.load import load_config
from judgerlvr.reporting.arms import find_arms
from judgerlvr.reporting.cost import arm_costs, device_hours, run_costs
from judgerlvr.reporting.facts import other_models, progress, runs_table, stamps
from judgerlvr.reporting.results import results_table
from judgerlvr.reporting.runs import read_run
from judgerlvr.reporting.settings import differing, settings_parts
from judgerlvr.reporting.status import State
from judgerlvr.runs.folder import CONFIG, write_config, write_failure
from judgerlvr.runs.lock import LOCK, held
from judgerlvr.runs.manifest import MANIFEST, read_manifest
from judgerlvr.runs.metrics import METRICS, append_row
from judgerlvr.runs.resume_state import trim_metrics
from tests.helpers.report_runs import make_records, write_run, write_synthetic_evaluation, write_three
from tests.helpers.run_folders import step_row, write_run_folder


def cells(table, row=0):
    """Texts of a row by the table's head."""
    return dict(zip(table.head, (cell.text for cell in table.rows[row]), strict=True))


@pytest.fixture
def resumed(tmp_path):
    """A run of 66 steps at most that the token budget ended at step 4, and that was resumed after step 2."""
    folder = tmp_path / "judge"
    rows = [step_row(step, "judge", seconds=30.0 * step) for step in (1, 2, 3)]
    facts = {"steps": 66, "model_hash": "b" * 64, "export": "checkpoints/global_step_4/policy", "device": "gpu"}
    write_run_folder(folder, "judge", rows, seed=7, counts={"candidate_tokens": 60}, **facts)
    checkpoint = folder / "checkpoints" / "global_step_2"
    checkpoint.mkdir(parents=True)
    trim_metrics(folder, checkpoint)
    for step in (3, 4):
        more = {"budget/generated_tokens": 1000.0 * step}
        append_row(folder / METRICS, step_row(step, "judge", seconds=60.0 + 40.0 * (step - 2), more=more))
    return folder


def test_steps_seconds_and_hash_are_those_of_the_folder(resumed):
    shown = cells(runs_table([read_run(resumed)]))
    assert shown["steps done"] == "4"
    assert shown["steps at most"] == "66"
    assert shown["training (seconds)"] == "140"
    assert shown["model hash"] == "b" * 12
    assert (shown["seed"], shown["status"]) == ("7", "finished")


def test_tokens_and_hours_are_those_of_the_folder(resumed):
    config = load_config("configs/tiny.yaml", ["cluster.nodes=2", "cluster.gpus_per_node=4"])
    write_config(resumed, config)
    shown = cells(run_costs([read_run(resumed)]))
    assert shown["generated tokens"] == "4,000"
    assert shown["of these, judge candidates"] == "60"
    assert shown["devices"] == "8 GPU"
    assert float(shown["device time (hours)"]) == pytest.approx(140 / 3600 * 8, abs=5e-4)


def test_gpus_of_the_rollout_alone_are_paid_for(resumed):
    separate = ["cluster.trainer_mode=separate_async", "cluster.rollout_gpus_per_node=2"]
    write_config(resumed, load_config("configs/tiny.yaml", ["cluster.gpus_per_node=4", *separate]))
    assert cells(run_costs([read_run(resumed)]))["devices"] == "6 GPU"


def test_an_older_run_whose_seconds_began_again_has_the_sum(tmp_path):
    rows = [step_row(step, "judge", seconds=seconds) for step, seconds in ((1, 30.0), (2, 60.0), (3, 25.0), (4, 50.0))]
    write_run_folder(tmp_path / "judge", "judge", rows)
    assert cells(runs_table([read_run(tmp_path / "judge")]))["training (seconds)"] == "110"


def test_steps_tokens_and_hours_of_an_arm_hold_both_stages(tmp_path):
    runs = [read_run(folder) for folder in write_three(tmp_path)]
    arms = find_arms(runs)
    row = next(i for i, row in enumerate(results_table(arms).rows) if row[0].text == "JudgeRLVR")
    shown = cells(results_table(arms), row)
    assert (shown["steps"], shown["generated tokens"]) == ("24", "360,000")
    costs = next(arm_costs(arms, runs))
    hours = {row[0].text: float(row[-1].text) for row in costs.rows}
    assert hours["JudgeRLVR"] == pytest.approx(device_hours(runs[0]) + device_hours(runs[1]), abs=1e-3)
    assert hours["base"] == 0


def test_what_was_not_measured_is_not_run_and_no_number(tmp_path):
    write_run(tmp_path / "judge", "judge", 2, 0.5, 0.6)
    for row in results_table(find_arms([read_run(tmp_path / "judge")])).rows:
        assert {cell.text for cell in row[1:]} == {"not run"}


def test_numbers_of_an_evaluation_are_read_as_they_were_written(tmp_path):
    write_run(tmp_path / "judge", "judge", 2, 0.5, 0.6)
    write_synthetic_evaluation(tmp_path / "judge" / "eval" / "final", 0.5, 0.8, 50)
    written = json.loads((tmp_path / "judge" / "eval" / "final" / "summary.json").read_text())["results"]
    read = read_run(tmp_path / "judge").evaluations[0]
    for wanted, row in zip(written, read.results, strict=True):
        assert asdict(row.accuracy) == wanted["accuracy"]
        assert asdict(row.tokens["correct"].mean) == wanted["tokens"]["correct"]["mean"]
        assert row.decoding.as_dict() == wanted["decoding"]
        assert (asdict(row.judging.confusion) if row.judging else None) == wanted.get("judge", {}).get("confusion")
    assert read.samples[0] == make_records("generate", read.results[0].decoding, 0.5, 50)[0]


def end_early(folder, cause=None):
    write_run(folder, "judge", 2, 0.5, 0.6, export=None, model_hash=None)
    if cause:
        write_failure(folder, cause)
    return read_run(folder)


def test_a_run_without_an_end_is_stopped_or_failed(tmp_path):
    assert end_early(tmp_path / "stopped").status.state is State.stopped
    failed = end_early(tmp_path / "failed", "guard mismatch: 0.3 > 0.02")
    assert str(failed.status) == "failed: guard mismatch: 0.3 > 0.02"
    assert any(note.stamp and "guard mismatch" in note.text for note in stamps([], [failed]))


def test_a_run_whose_lock_is_held_is_still_training(tmp_path):
    folder = tmp_path / "judge"
    end_early(folder)
    with held(folder):
        run = read_run(folder)
    assert progress(run) == "still training, step 2 of 20"
    assert read_run(folder).status.state is State.stopped


def test_a_run_whose_process_was_killed_is_stopped(tmp_path):
    """A killed process leaves a note in the lock. The number is above every number that the system gives."""
    folder = tmp_path / "judge"
    end_early(folder)
    (folder / LOCK).write_text(json.dumps({"host": socket.gethostname(), "pid": 2**22 + 5}))
    assert read_run(folder).status.state is State.stopped
    (folder / LOCK).write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
    assert read_run(folder).status.state is State.training


@pytest.fixture
def killed(tmp_path):
    """A run whose third row a kill has cut in the middle."""
    folder = tmp_path / "judge"
    write_run(folder, "judge", 2, 0.5, 0.6, export=None, model_hash=None)
    line = step_row(3).to_json()
    with (folder / METRICS).open("a") as file:
        file.write(line[: len(line) // 2])
    return folder


def told_as_cut(folder):
    return [note.text for note in stamps([], [read_run(folder)]) if note.stamp and "is cut" in note.text]


def test_a_cut_last_row_is_one_stamp_that_says_where_the_figures_end(killed):
    assert told_as_cut(killed) == ["judge: the last line of metrics.jsonl is cut and left out; figures end at step 2"]


def test_a_cut_row_of_a_run_that_still_writes_is_no_stamp(killed):
    with held(killed):
        assert told_as_cut(killed) == []


def test_whole_rows_are_no_stamp(tmp_path):
    end_early(tmp_path / "stopped")
    assert told_as_cut(tmp_path / "stopped") == []


def test_a_cut_first_row_leaves_no_step(killed):
    (killed / METRICS).write_text('{"step": 1, "sta')
    assert told_as_cut(killed)[0].endswith("no step is known")


def test_an_evaluation_of_other_weights_than_the_runs_own_is_stamped(tmp_path):
    folder = tmp_path / "judge"
    write_run(folder, "judge", 2, 0.5, 0.6)
    write_synthetic_evaluation(folder / "eval" / "final", 0.5, 0.8, 50)
    path = folder / "eval" / "final" / "summary.json"
    summary = json.loads(path.read_text())
    for digest, wanted in ((read_manifest(folder).model_hash, 0), ("c" * 64, 1)):
        path.write_text(json.dumps({**summary, "model": {"path": "p", "hash": digest}}))
        assert len(list(other_models(find_arms([read_run(folder)])))) == wanted


def run_with(folder, stage, *overrides):
    write_run(folder, stage, 1, 0.5, 0.6)
    write_config(folder, load_config("configs/tiny.yaml", [f"name={folder.name}", *overrides]))
    return read_run(folder)


def test_all_keys_that_differ_are_shown_and_no_others(tmp_path):
    one = run_with(tmp_path / "a", "generate", "seed=1", "generate.optimizer.lr=0.5", "judge.optimizer.lr=0.1")
    two = run_with(tmp_path / "b", "generate", "seed=2", "generate.optimizer.lr=0.25", "judge.optimizer.lr=0.2")
    table = next(iter(settings_parts([], [one, two])))
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["seed", "1", "2"],
        ["generate.optimizer.lr", "0.5", "0.25"],
    ]


def test_a_key_that_a_stage_does_not_read_is_no_difference(tmp_path):
    judge = run_with(tmp_path / "judge", "judge", "generate.stop.steps=3")
    generate = run_with(tmp_path / "generate", "generate", "generate.stop.steps=9")
    other = run_with(tmp_path / "other", "generate", "generate.stop.steps=10")
    assert next(iter(settings_parts([], [judge, generate]))).text.endswith("between runs: none.")
    table = next(iter(settings_parts([], [judge, generate, other])))
    assert [cell.text for cell in table.rows[0]] == ["generate.stop.steps", "not read", "9", "10"]


def test_differing_against_a_naive_count():
    columns = [{"a": 1, "b": [1], "c": 0}, {"a": 1, "b": [2]}, {"c": 1, "d": 5}]
    assert differing(columns) == ["b", "c"]


def test_a_configuration_of_another_version_is_told_and_the_page_goes_on(tmp_path):
    write_run(tmp_path / "a", "generate", 1, 0.5, 0.6)
    (tmp_path / "a" / CONFIG).write_text("no_such_key: 1\n")
    run = read_run(tmp_path / "a")
    assert run.config is None
    assert "no_such_key" in next(iter(settings_parts([], [run]))).text


def test_a_folder_of_an_evaluation_alone_is_a_run_without_training(tmp_path):
    write_synthetic_evaluation(tmp_path / "alone", 0.5, 0.8, 50)
    run = read_run(tmp_path / "alone")
    assert not (tmp_path / "alone" / MANIFEST).exists()
    assert (run.status.state, len(find_arms([run]))) == (State.evaluated, 1)
    assert cells(runs_table([run]))["steps done"] == "not run"
