"""Measured speeds: what a file says comes back, and a plan of the measured shape is what was measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.stages.planner_check import compare, table, within
from judgerlvr.config.choices import Recompute
from judgerlvr.config.load import load_config
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import Machine
from judgerlvr.planning.measured import Measured, factors_for, read_measured, seconds_by_token, write_measured
from judgerlvr.planning.observed import TIMERS, observed
from judgerlvr.planning.speed import PHASES, Tokens, step_seconds
from judgerlvr.runs.folder import CONFIG
from judgerlvr.runs.manifest import Manifest, Parent, write_manifest
from judgerlvr.runs.metrics import MEAN_TOKENS, METRICS, PHASE_SECONDS, TRAINER_MEMORY, StepRow, append_row
from rewards.errors import CommandFailed, InputError

SHAPES = Path(__file__).parent / "shapes"
MACHINE = Machine("h100", 0.0, 0.0, 50.0)
SECONDS = {"sampling": 30.0, "log_prob": 4.0, "update": 16.0, "sync": 2.0}
# Lengths of the step below: prompts, responses, the longest response.
LENGTHS = {"prompt_length/mean": 100.0, "response_length/mean": 900.0, "response_length/max": 1024.0}


def measured_of(name, **changes):
    import json

    config = load_config("configs/qwen3_0.6b.yaml")
    load = replace(load_of("generate", config), **changes)
    model = json.loads((SHAPES / name / "config.json").read_text())
    return Measured("h100", {}, model, load, MACHINE, Tokens(*LENGTHS.values()), SECONDS, 20.0)


def test_a_file_comes_back(tmp_path):
    measured = measured_of("qwen3-0.6b", recompute=Recompute.attention)
    write_measured(measured, tmp_path / "m.json")
    assert read_measured(tmp_path / "m.json") == measured


@pytest.mark.parametrize("name", ["qwen3-0.6b", "qwen3-30b-a3b"])
def test_the_measured_shape_is_planned_as_measured(tmp_path, name):
    measured = measured_of(name)
    write_measured(measured, tmp_path / "m.json")
    factors = factors_for("h100", str(tmp_path / "m.json"))
    planned = step_seconds(measured.shape, measured.load, MACHINE, measured.tokens, factors)
    assert planned == pytest.approx(SECONDS)


def test_seconds_by_token_are_those_of_the_step():
    measured = measured_of("qwen3-0.6b")
    assert seconds_by_token(measured, measured.load, measured.tokens) == pytest.approx(SECONDS)


def test_speeds_of_another_card_are_refused(tmp_path):
    write_measured(measured_of("qwen3-0.6b"), tmp_path / "m.json")
    with pytest.raises(InputError, match="speeds of a h100, where the plan is for a a100"):
        factors_for("a100", str(tmp_path / "m.json"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"load": {}}'])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(InputError, match="not a file of measured speeds"):
        read_measured(tmp_path / "m.json")


@pytest.mark.parametrize("phase", PHASES)
def test_more_tokens_take_longer(phase):
    measured = measured_of("qwen3-0.6b")
    short = step_seconds(measured.shape, measured.load, MACHINE, Tokens(100.0, 500.0, 512.0))[phase]
    long = step_seconds(measured.shape, measured.load, MACHINE, Tokens(100.0, 1000.0, 1024.0))[phase]
    assert long == short if phase == "sync" else long > short


def rows_of(steps):
    timers = {PHASE_SECONDS.name.format(timer): SECONDS[phase] for phase, timer in TIMERS.items()}
    values = timers | LENGTHS | {MEAN_TOKENS.name: 900.0, TRAINER_MEMORY.name: 12.0}
    slow = {name: 10 * value for name, value in values.items()}
    return [StepRow(step, "generate", 1.0, values if step > 1 else slow) for step in range(1, steps + 1)]


def test_the_first_step_does_not_count():
    found = observed(rows_of(3))
    assert (found.steps, found.seconds, found.trainer_gib) == (2, SECONDS, 12.0)


def test_one_step_measures_nothing():
    with pytest.raises(CommandFailed, match="nothing is measured"):
        observed(rows_of(1))


def test_planner_check_compares_a_run_with_its_plan(tmp_path):
    (tmp_path / CONFIG).write_text("cluster: {device: gpu}\n")
    manifest = Manifest(
        name="run", stage="generate", device="gpu", prompts_per_step=32, parent=Parent(str(SHAPES / "qwen3-0.6b"))
    )
    write_manifest(tmp_path, manifest)
    for row in rows_of(3):
        append_row(tmp_path / METRICS, row)
    rows = {row.name: row for row in compare(tmp_path, "h100", "")}
    assert rows["step"].measured == sum(SECONDS.values())
    assert rows["trainer GiB"].measured == 12.0
    assert within([replace(rows["step"], predicted=60.0), replace(rows["trainer GiB"], predicted=12.9)])
    assert not within([replace(rows["step"], predicted=66.0)])
    assert table(list(rows.values())).count("\n") == 1 + len(rows)
