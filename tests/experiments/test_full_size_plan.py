"""The full-size plan has the arms that decide: each budget, a penalty front, both orders and permuted labels."""

import pytest

from judgerlvr.config.check import check_config
from judgerlvr.config.choices import Action, Overlong
from judgerlvr.config.load import ROOT, load_config
from judgerlvr.experiments.checks import stage_words
from judgerlvr.experiments.plan import Budget, Kind, read_plan

PLAN = read_plan(ROOT / "configs" / "experiments" / "qwen3_30b_a3b.yaml")
STAGES = [(name, arm, stage) for name, arm in PLAN.arms.items() for stage in arm.stages]


def config_of(arm, stage):
    return load_config(PLAN.config, stage_words(PLAN, ROOT / "runs", arm, stage))


def kinds(name):
    return [stage.stage for stage in PLAN.arms[name].stages]


@pytest.mark.parametrize(("name", "arm", "stage"), STAGES, ids=[stage.name for *_, stage in STAGES])
def test_the_settings_of_each_stage_fit_each_other(name, arm, stage):
    config = config_of(arm, stage)
    check_config(config)
    assert config.name == stage.name


def test_vanilla_is_matched_by_every_budget():
    vanilla = {arm.by for name, arm in PLAN.arms.items() if name.startswith("vanilla") and arm.match == "JudgeRLVR"}
    assert vanilla == set(Budget)


@pytest.mark.parametrize("name", [name for name, arm in PLAN.arms.items() if not arm.match])
def test_an_arm_without_a_match_has_the_steps_of_the_first_arm(name):
    arm = PLAN.arms[name]
    stops = [config_of(arm, stage).settings(stage.stage.value).stop for stage in arm.stages]
    assert sum(stop.steps for stop in stops) == 250 and not any(stop.plateau.steps for stop in stops)


def test_the_penalty_front_has_three_strengths_beside_vanilla():
    front = [arm for name, arm in PLAN.arms.items() if name.startswith("penalty")]
    settings = [config_of(arm, arm.stages[-1]).generate.algorithm for arm in front]
    assert [one.overlong for one in settings] == [Overlong.penalty] * 3
    assert [one.overlong_buffer for one in settings] == [4096, 8192, 12288]


def test_the_penalty_beside_judging_first_is_in_the_second_stage_alone():
    arm = PLAN.arms["JudgeRLVR-penalty-4k"]
    judge, generate = (config_of(arm, stage) for stage in arm.stages)
    assert (judge.generate.algorithm.overlong, generate.generate.algorithm.overlong) == (
        Overlong.mask,
        Overlong.penalty,
    )


def test_permuted_labels_are_in_the_judging_stage_and_do_not_stop_the_run():
    arm = PLAN.arms["shuffled"]
    judge = config_of(arm, arm.stages[0])
    assert judge.judge.data.shuffle_labels and judge.guards.constant_verdicts.action is Action.warn


def test_both_orders():
    assert kinds("generate-first") == [*reversed(kinds("JudgeRLVR"))] == [Kind.generate, Kind.judge]


def test_no_other_arm_has_a_penalty_or_permuted_labels():
    others = [(arm, stage) for name, arm, stage in STAGES if "penalty" not in name and name != "shuffled"]
    configs = [config_of(*one) for one in others]
    assert not any(c.judge.data.shuffle_labels or c.generate.algorithm.overlong is Overlong.penalty for c in configs)
