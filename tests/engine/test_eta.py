"""The foreseen end of a stage against a simulation of the stage, and the line that shows the end."""

import itertools
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import pytest
from omegaconf import OmegaConf
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from judgerlvr.config.schema import Plateau, Stop
from judgerlvr.engine.in_training.eta import End, Pace, foresee, shown
from judgerlvr.engine.in_training.step_log import StepLog
from judgerlvr.engine.in_training.stopping import StopRules
from judgerlvr.engine.in_training.trainer import StageTrainer
from judgerlvr.runs.console import fit
from judgerlvr.runs.metrics import METRICS, PROGRESS, read_metrics
from tests.helpers.run_folders import HEALTHY


def pace_of(seconds, tokens):
    pace = Pace()
    pace.add(seconds, tokens)
    return pace


def last_step(stop, step_tokens, step_seconds, sampled):
    """The step with which a stage of constant pace ends. A step's sampling takes the share ``sampled``."""
    for step in itertools.count(1):
        out_of_tokens = stop.generated_tokens and step * step_tokens >= stop.generated_tokens
        out_of_time = stop.hours and (step - 1 + sampled) * step_seconds >= 3600 * stop.hours
        if step == stop.steps or out_of_tokens or out_of_time:
            return step


STOPS = [
    Stop(steps=steps, generated_tokens=tokens, hours=hours)
    for steps in (1, 7, 300)
    for tokens in (0, 1, 999, 5_000, 10**6)
    for hours in (0.0, 0.001, 0.05, 10.0)
]


@pytest.mark.parametrize(("tokens", "seconds"), [(100, 3.0), (77, 41.5), (5_000, 900.0)])
@pytest.mark.parametrize("sampled", [0.1, 0.6, 1.0])
def test_every_rule_is_foreseen_from_every_step(tokens, seconds, sampled):
    for stop in STOPS:
        last = last_step(stop, tokens, seconds, sampled)
        for step in range(1, last):
            end = foresee(stop, step, step * tokens, step * seconds, 0, pace_of(seconds, tokens))
            late = end.rule == "hours" or stop.hours
            assert 0 <= last - (step + end.steps) <= (1 if late else 0), (stop, step, end)


def test_a_stage_that_its_budget_ended_has_nothing_left():
    assert foresee(Stop(steps=100, generated_tokens=500), 5, 500, 10, 0, pace_of(2, 100)) == End(0, "tokens")


@pytest.mark.parametrize(("since", "flat"), [(0, 20), (15, 5), (30, 1)])
def test_a_plateau_may_end_a_stage_sooner(since, flat):
    stop = Stop(steps=100, plateau=Plateau(steps=20))
    end = foresee(stop, 40, 0, 0, since, pace_of(60, 1))
    assert end == End(60, "steps", flat)
    assert shown(end, pace_of(60, 1)) == f"ETA 60.0 min ({flat:.1f} if flat)"


def test_a_plateau_beyond_the_end_is_not_shown():
    stop = Stop(steps=45, plateau=Plateau(steps=20))
    assert shown(foresee(stop, 40, 0, 0, 0, pace_of(60, 1)), pace_of(60, 1)) == "ETA 5.0 min"


def test_a_slow_first_step_does_not_set_the_pace():
    pace = Pace()
    for seconds in (300.0, 10.0, 11.0):
        pace.add(seconds, 1)
    assert pace.step_seconds == 11.0


class Nothing:
    logger: ClassVar = {}

    def log(self, data, step):
        pass


@pytest.fixture
def logged(tmp_path):
    """A log of a run with two limits, and the rules that count for the log."""

    def begin(seconds=0.0):
        rules = StopRules(Stop())
        rules.restore(seconds, rules.plateau_state())
        stop = Stop(steps=1000, generated_tokens=400)
        return StepLog(Nothing(), tmp_path / METRICS, "judge", stop, lambda _: None, rules), rules

    return begin


def row(tokens):
    return HEALTHY | {"budget/generated_tokens": tokens}


def test_the_line_of_a_step_counts_to_the_end_that_comes(logged, tmp_path):
    log, _ = logged()
    for step in (1, 2):
        log.log(row(100.0 * step), step)
    line = (tmp_path / PROGRESS).read_text().splitlines()[-1]
    assert "2/~4" in line and "[##########          ]" in line


def test_seconds_add_up_through_a_resume(logged, tmp_path):
    log, rules = logged()
    log.log(row(100.0), 1)
    again, _ = logged(seconds=rules.seconds() + 50)
    again.log(row(200.0), 2)
    first, second = (found.seconds for found in read_metrics(tmp_path / METRICS))
    assert 50 <= second - first < 60


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_line_of_a_step_fits(logged, tmp_path, width):
    log, _ = logged()
    log.log(row(100.0), 1)
    whole = (tmp_path / PROGRESS).read_text().splitlines()[-1]
    (line,) = fit(whole, width)
    assert len(line) <= width and line.startswith("judge 1/~4") and "ETA" in line
    assert fit(whole, None) == [whole]


def test_a_whole_runs_limit_is_the_bar_of_a_segment(make_stage, tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"steps": 30}))
    stage = make_stage()
    trainer = StageTrainer.__new__(StageTrainer)
    generate = replace(stage.config.generate, stop=replace(stage.config.generate.stop, steps=10))
    trainer.stage = replace(stage, config=replace(stage.config, generate=generate))
    assert trainer._whole_stop().steps == 30


def test_a_trainer_names_its_phases_and_logs_its_steps(make_stage, tmp_path, monkeypatch):
    """The hooks that verl calls in the order of a step, with verl's own part of each hook left out."""
    (tmp_path / "manifest.json").write_text(json.dumps({"steps": 12}))
    for name in ("on_sample_begin", "on_sample_end"):
        monkeypatch.setattr(PPOTrainerSync, name, lambda _: None)
    trainer = StageTrainer.__new__(StageTrainer)
    trainer.stage, trainer.global_steps, trainer.training = make_stage(), 3, False
    trainer.rules, trainer.logger = StopRules(Stop()), Nothing()
    trainer.replay_buffer = SimpleNamespace(generated_tokens=7)
    trainer.config = OmegaConf.create({"algorithm": {"rollout_correction": {"bypass_mode": None}}})
    trainer.on_validate_begin()
    trainer.training = True
    trainer.on_sample_begin()
    trainer.on_sample_end()
    trainer._step = lambda row: None
    trainer.logger.on_step = trainer._step
    trainer.logger.log(row(100.0), 3)
    lines = (tmp_path / PROGRESS).read_text().splitlines()
    assert lines[:3] == [
        "phase: validating after step 3",
        "passing phase: step 3: sampling",
        "passing phase: step 3: training",
    ]
    assert "3/12" in lines[3]
