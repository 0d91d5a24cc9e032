"""The demo's work is that of commit 739bd54: the demo became faster, and not smaller."""

import pytest

from judgerlvr.config.load import load_config
from judgerlvr.experiments.demo import DEMO_PLAN
from judgerlvr.experiments.plan import read_plan

# As read from configs/tiny.yaml and judgerlvr/demo.py of that commit.
STAGES = {
    "judge": {"prompts_per_step": 48, "samples_per_prompt": 8, "updates_per_step": 4, "steps": 10, "tokens": 64},
    "generate": {"prompts_per_step": 24, "samples_per_prompt": 8, "updates_per_step": 4, "steps": 12, "tokens": 160},
}
CANDIDATES = {"problems": 800, "samples_per_problem": 2, "cap_per_problem": 1, "heldout_problems": 50}
EVALUATED_PROBLEMS, SAMPLES = 200, 4


@pytest.fixture
def config():
    plan = read_plan(DEMO_PLAN)
    return load_config(plan.config, plan.overrides)


@pytest.mark.parametrize("kind", STAGES)
def test_steps_samples_and_updates(config, kind):
    stage = getattr(config, kind)
    names = ("prompts_per_step", "samples_per_prompt", "updates_per_step")
    found = {name: getattr(stage.batch, name) for name in names}
    assert found | {"steps": stage.stop.steps, "tokens": stage.max_response_tokens} == STAGES[kind]
    assert stage.algorithm.max_extra_rounds == 1


def test_candidates(config):
    assert {name: getattr(config.judge.data, name) for name in CANDIDATES} == CANDIDATES


def test_temperature(config):
    assert config.temperature == 1.0


def test_evaluated_problems_and_samples():
    evaluation = read_plan(DEMO_PLAN).evaluation
    assert (evaluation.problems, evaluation.samples) == (EVALUATED_PROBLEMS, SAMPLES)


def test_arms_and_what_the_stages_override():
    arms = read_plan(DEMO_PLAN).arms
    stages = [(name, stage.stage.value, stage.overrides) for name, arm in arms.items() for stage in arm.stages]
    assert stages == [("JudgeRLVR", "judge", []), ("JudgeRLVR", "generate", []), ("vanilla", "generate", [])]
    assert [arm.overrides for arm in arms.values()] == [[], []]
