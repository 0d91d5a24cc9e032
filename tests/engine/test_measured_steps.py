"""Steps whose old log-probabilities the trainer computes, and what is refused where others take the rollout's."""

from types import SimpleNamespace

import pytest
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

from judgerlvr.engine.in_training import trainer as module
from judgerlvr.engine.in_training.step_log import StepLog
from judgerlvr.engine.in_training.trainer import StageTrainer
from judgerlvr.engine.measured_steps import check_bypass, measures
from judgerlvr.engine.verl_config import render
from judgerlvr.runs.metrics import ENTROPY, MISMATCH
from rewards.errors import InputError
from tests.helpers.run_folders import step_row

EVERY = "generate.algorithm.old_log_probs_every"


@pytest.mark.parametrize(
    ("device", "every", "measured"),
    [
        ("cpu", 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ("cpu", 5, [1, 5, 10]),
        ("cpu", 100, [1]),
        ("gpu", 5, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ],
)
def test_the_number_of_a_step_decides(make_stage, device, every, measured):
    stage = make_stage(device=device, overrides=[f"{EVERY}={every}"])
    assert [step for step in range(1, 11) if measures(stage, step)] == measured
    assert render(stage).algorithm.rollout_correction.bypass_mode is (len(measured) < 10)


def old_log_probs(make_stage, monkeypatch, step):
    """What verl does for old log-probabilities in a step: "rollout" or "trainer"."""
    stage = make_stage(overrides=[f"{EVERY}=5"])
    asked = []
    stored = SimpleNamespace(kv_batch_get=lambda **_: {"rollout_log_probs": 0}, kv_batch_put=lambda **_: None)
    monkeypatch.setattr("verl.trainer.ppo.v1.trainer_base.tq", stored)
    monkeypatch.setattr(module.PPOTrainerSync, "on_sample_begin", lambda _: None)
    made = StageTrainer.__new__(StageTrainer)
    made.stage, made.config, made.global_steps = stage, render(stage), step

    def compute(_):
        asked.append("trainer")
        raise InterruptedError

    made.actor_rollout_wg = SimpleNamespace(compute_log_prob=compute)
    made.on_sample_begin()
    try:
        PPOTrainer._compute_old_log_prob(made, SimpleNamespace(keys=[], partition_id="", extra_info={}), {})
    except InterruptedError:
        return asked[0]
    return "rollout"


@pytest.mark.parametrize(("step", "source"), [(1, "trainer"), (4, "rollout"), (5, "trainer"), (6, "rollout")])
def test_verl_itself_takes_old_log_probabilities_from(make_stage, monkeypatch, step, source):
    assert old_log_probs(make_stage, monkeypatch, step) == source


@pytest.mark.parametrize("key", ["rollout_rs=seq_mean_k1", "rollout_is_batch_normalize=true", "loss_type=reinforce"])
def test_rollout_correction_by_the_door_is_refused(make_stage, key):
    overrides = [f"engine.algorithm.rollout_correction.{key}"]
    check_bypass(make_stage(overrides=[*overrides, f"{EVERY}=1"]))
    with pytest.raises(InputError, match="not every step computes") as caught:
        check_bypass(make_stage(overrides=[*overrides, f"{EVERY}=5"]))
    assert f"engine.algorithm.rollout_correction.{key.partition('=')[0]}" in str(caught.value)


def test_comparison_of_hysparse_choices_is_refused(make_stage, monkeypatch):
    monkeypatch.setattr("judgerlvr.runs.stage.Stage.chooses_blocks", property(lambda _: True))
    check_bypass(make_stage(overrides=[f"{EVERY}=5"]))
    check_bypass(make_stage(overrides=["hysparse.replay=false", f"{EVERY}=1"]))
    with pytest.raises(InputError, match=r"field 'hysparse.replay'"):
        check_bypass(make_stage(overrides=["hysparse.replay=false", f"{EVERY}=5"]))


def test_the_line_of_a_step_leaves_out_what_was_not_measured(make_stage, tmp_path):
    stage = make_stage()
    rules = SimpleNamespace(seconds=lambda: 1.0, since_best=0)
    log = StepLog(None, tmp_path, "judge", stage.settings.stop, lambda _: None, rules)
    log.pace.add(1.0, 1.0)
    row = step_row(2)
    assert "entropy" in log._line(row) and "mismatch" in log._line(row)
    for metric in (ENTROPY, MISMATCH):
        del row.values[metric.name]
    line = log._line(row)
    assert "entropy" not in line and "mismatch" not in line and "accuracy" in line
