"""verl's own code refuses a setting at the start. A helper of verl that moves fails these tests."""

import inspect
from dataclasses import replace

import pytest
from verl.trainer.ppo.rollout_corr_helper import (
    SUPPORTED_ROLLOUT_RS_OPTIONS,
    compute_rollout_correction_and_rejection_mask,
)
from verl.utils.torch_functional import get_cosine_schedule_with_warmup
from verl.workers.engine.fsdp import transformer_impl

from judgerlvr.engine.devices import ACTOR
from judgerlvr.engine.engine_section import check_engine_keys
from judgerlvr.engine.measured_steps import CORRECTION
from judgerlvr.engine.private.early_refusals import TRIALS, refusal
from judgerlvr.engine.verl_config import compose, render
from rewards.errors import InputError

OPTIMIZER = f"{ACTOR}.optim"
REJECTS, THRESHOLD = f"{CORRECTION}.rollout_rs", f"{CORRECTION}.rollout_rs_threshold"
GATE = {"data.custom_cls.path": "pkg://benchmarks.hysparse.long_rl.gate", "data.custom_cls.name": "GatedDataset"}
HANDOVER = {"data.custom_cls.path": "pkg://benchmarks.stages.flowing.gate", "data.custom_cls.name": "GatedHandover"}

GOOD = [
    GATE,
    HANDOVER,
    {f"{ACTOR}.clip_ratio_c": 5.0, f"{ACTOR}.ppo_epochs": 2, f"{ACTOR}.entropy_coeff": 0.01},
    {f"{OPTIMIZER}.betas": [0.9, 0.95], f"{OPTIMIZER}.lr_scheduler_type": "cosine", f"{OPTIMIZER}.min_lr_ratio": 0.1},
    {REJECTS: "token_k1,seq_max_k2", THRESHOLD: "0.5_2.0,3"},
]
# What verl is asked, the key that the refusal names, and what verl says.
BAD = [
    ({REJECTS: "seq_mean_k1"}, REJECTS, "must be explicitly provided"),
    ({REJECTS: "seq_mean_k9", THRESHOLD: "0.5_2.0"}, REJECTS, "Invalid rollout_rs option"),
    ({REJECTS: "", THRESHOLD: "0.5_2.0"}, REJECTS, "at least one valid option"),
    ({REJECTS: "seq_mean_k1", THRESHOLD: "abc"}, THRESHOLD, "could not convert"),
    ({REJECTS: "seq_mean_k1", THRESHOLD: -3}, THRESHOLD, "must be positive"),
    ({REJECTS: "seq_mean_k1", THRESHOLD: "2_0.5"}, THRESHOLD, "lower <= upper"),
    ({REJECTS: "seq_mean_k1", THRESHOLD: "2_3"}, REJECTS, "no sample is left"),
    ({REJECTS: "token_k1,token_k2", THRESHOLD: "1_2,3,4"}, THRESHOLD, "threshold"),
    ({THRESHOLD: 3}, THRESHOLD, "does nothing without rollout_rs"),
    ({f"{ACTOR}.clip_ratio_c": 0.5, f"{ACTOR}.ppo_epochs": 2}, f"{ACTOR}.clip_ratio_c", "greater than 1.0"),
    ({f"{OPTIMIZER}.betas": [0.9, 1.5]}, f"{OPTIMIZER}.betas", "Invalid beta"),
    ({f"{OPTIMIZER}.lr_scheduler_type": "nonsense", f"{ACTOR}.ppo_epochs": 2}, "lr_scheduler_type", "AssertionError"),
    ({f"{OPTIMIZER}.min_lr_ratio": -1}, f"{OPTIMIZER}.min_lr_ratio", "AssertionError"),
    ({**GATE, "data.custom_cls.path": "pkg://benchmarks.none_such"}, "data.custom_cls.path", "No module named"),
    ({**GATE, "data.custom_cls.name": "NoneSuch"}, "data.custom_cls.name", "NoneSuch"),
    ({**GATE, "data.custom_cls.path": "no/such/file.py"}, "data.custom_cls.path", "no/such/file.py"),
    ({"data.custom_cls.name": "GatedDataset"}, "data.custom_cls.name", "both a path and a name"),
]


def check(stage, asked):
    check_engine_keys(replace(stage, config=replace(stage.config, engine=asked)))


@pytest.mark.parametrize("asked", GOOD)
def test_verl_takes_right_settings(make_stage, asked):
    check(make_stage("generate", "gpu"), asked)


@pytest.mark.parametrize(("asked", "key", "said"), BAD)
def test_what_verl_refuses_is_one_line_that_names_the_key(make_stage, asked, key, said):
    with pytest.raises(InputError, match=said) as refused:
        check(make_stage("judge", "cpu"), asked)
    assert key in refused.value.field
    assert "\n" not in str(refused.value)


def test_a_refusal_is_all_that_is_printed(make_stage, capsys, recwarn):
    with pytest.raises(InputError):
        check(make_stage(), {f"{ACTOR}.clip_ratio_c": 0.5})
    assert (capsys.readouterr().out, len(recwarn)) == ("", 0)


def test_weights_that_nobody_asks_for_are_not_normalized(make_stage):
    stage = make_stage("judge", overrides=["judge.algorithm.importance_cap=0"])
    with pytest.raises(InputError, match=r"does nothing without algorithm\.importance_cap"):
        check(stage, {f"{CORRECTION}.rollout_is_batch_normalize": True})


@pytest.mark.parametrize("option", sorted(SUPPORTED_ROLLOUT_RS_OPTIONS))
def test_each_rejection_of_verl_works_with_a_fitting_threshold(make_stage, option):
    check(make_stage(), {REJECTS: option, THRESHOLD: "0.5_2.0" if option.endswith("k1") else 2.0})


@pytest.mark.parametrize("section", TRIALS)
def test_what_the_product_itself_sets_passes_each_trial(make_stage, section):
    assert refusal(render(make_stage()), section) is None


def test_the_correction_still_takes_the_keys_of_the_configuration():
    taken = set(inspect.signature(compute_rollout_correction_and_rejection_mask).parameters)
    assert {*compose().algorithm.rollout_correction} - {"bypass_mode", "loss_type"} <= taken


def test_the_engine_still_makes_its_schedule_by_the_function_that_is_tried():
    source = inspect.getsource(transformer_impl.FSDPEngine._build_lr_scheduler)
    assert get_cosine_schedule_with_warmup.__name__ in source
    assert "build_optimizer(module.parameters(), self.optimizer_config)" in inspect.getsource(transformer_impl)
