"""Every configuration key does something: a changed key changes a value of verl's configuration, or a behaviour."""

from dataclasses import is_dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from judgerlvr.config.choices import Action
from judgerlvr.config.guards import Guard, Guards
from judgerlvr.config.load import keys, load_config
from judgerlvr.engine import runner
from judgerlvr.engine.devices import SHARE_PREFIXES, stage_environment
from judgerlvr.engine.in_training.canary import Canary
from judgerlvr.engine.in_training.guards import FIRST, GuardState, GuardTripped
from judgerlvr.engine.in_training.stopping import StopRules
from judgerlvr.engine.in_training.trainer import StageTrainer
from judgerlvr.engine.loop_of_your_own import OURS
from judgerlvr.engine.signals import SignalHandlers
from judgerlvr.engine.verl_config import agent_loops_file, render, write_agent_loops
from judgerlvr.pipeline import requests
from judgerlvr.pipeline.checks import offered
from judgerlvr.planning.machine import Machine, machine_of
from judgerlvr.planning.plan import make_plan
from judgerlvr.planning.shapes import read_shape
from judgerlvr.runs.checkpoints import SEAL, complete
from judgerlvr.runs.folder import run_folder
from judgerlvr.runs.manifest import MANIFEST
from judgerlvr.runs.metrics import HELDOUT_BALANCED, StepRow
from judgerlvr.runs.request import Request
from rewards.errors import InputError
from tests.config import test_keys_of_data
from tests.helpers.guard_checks import check
from tests.helpers.key_tables import OF_A_RUN, OF_A_STAGE
from tests.helpers.run_folders import step_row

STAGES = ("judge", "generate")


def rendered(make_stage, kind, device, key, *overrides):
    return OmegaConf.select(render(make_stage(kind, device, overrides)), key)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("key", OF_A_STAGE)
def test_a_key_of_a_stage_reaches_verl(make_stage, stage, key):
    value, verl_key, expected = OF_A_STAGE[key]
    assert rendered(make_stage, stage, "cpu", verl_key) != expected
    assert rendered(make_stage, stage, "cpu", verl_key, f"{stage}.{key}={value}") == expected


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("key", OF_A_STAGE)
def test_a_key_of_the_other_stage_does_not(make_stage, stage, key):
    value, verl_key, expected = OF_A_STAGE[key]
    other = "generate" if stage == "judge" else "judge"
    assert rendered(make_stage, stage, "cpu", verl_key, f"{other}.{key}={value}") != expected


@pytest.mark.parametrize("key", OF_A_RUN)
def test_a_key_of_a_run_reaches_verl(make_stage, key):
    device, value, verl_key, expected = OF_A_RUN[key]
    assert rendered(make_stage, "generate", device, verl_key) != expected
    assert rendered(make_stage, "generate", device, verl_key, f"{key}={value}") == expected


@pytest.mark.parametrize("stage", STAGES)
def test_importance_level(make_stage, stage):
    overrides = [f"{stage}.algorithm.importance_cap=2", f"{stage}.algorithm.importance_level=sequence"]
    key = "algorithm.rollout_correction.rollout_is"
    assert rendered(make_stage, stage, "cpu", key, *overrides[:1]) == "token"
    assert rendered(make_stage, stage, "cpu", key, *overrides) == "sequence"


@pytest.mark.parametrize("stage", STAGES)
def test_overlong(make_stage, stage):
    for choice, masked in (("mask", True), ("wrong", False)):
        made = make_stage(stage, overrides=[f"{stage}.algorithm.overlong={choice}"])
        write_agent_loops(made)
        assert OmegaConf.load(agent_loops_file(made))[0].mask_truncated is masked


@pytest.mark.parametrize("stage", STAGES)
def test_agent_loop(make_stage, stage):
    for overrides, target in (([], OURS), ([f"{stage}.agent_loop=mine.loops:Tool"], "mine.loops:Tool")):
        made = make_stage(stage, overrides=overrides)
        write_agent_loops(made)
        assert OmegaConf.load(agent_loops_file(made))[0]["_target_"] == target.replace(":", ".")


@pytest.mark.parametrize("stage", STAGES)
def test_overlong_buffer(make_stage, stage):
    overrides = [f"{stage}.algorithm.overlong=penalty", f"{stage}.algorithm.overlong_buffer=21"]
    assert rendered(make_stage, stage, "cpu", "reward.reward_kwargs.overlong_buffer_cfg.len", *overrides) == 21


def reason_to_stop(made, accuracies):
    """Why a judge run ends that has sampled 10 tokens and was validated once a step."""
    rules = StopRules(made.settings.stop)
    for step, accuracy in enumerate(accuracies, start=1):
        rules.observe(StepRow(step, "judge", 0.0, {HELDOUT_BALANCED.name: accuracy}))
    return rules.reason_to_stop(10) or ""


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("stop.generated_tokens=10", "stop.generated_tokens 10"),
        ("stop.hours=1e-9", "stop.hours"),
        ("stop.plateau.steps=1", "has not risen"),
    ],
)
def test_stop(make_stage, stage, override, reason):
    assert reason_to_stop(make_stage(stage), [0.0]) == ""
    assert reason in reason_to_stop(make_stage(stage, overrides=[f"{stage}.{override}"]), [0.0])


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("min_gain", "ends"), [(0.005, False), (0.05, True)])
def test_stop_plateau_min_gain(make_stage, stage, min_gain, ends):
    plateau = f"{stage}.stop.plateau"
    made = make_stage(stage, overrides=[f"{plateau}.steps=1", f"{plateau}.min_gain={min_gain}"])
    assert bool(reason_to_stop(made, [0.6, 0.61])) is ends


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("keep", [1, 3])
def test_checkpoint_keep(make_stage, tmp_path, stage, keep):
    for step in range(1, 5):
        (tmp_path / f"global_step_{step}").mkdir()
        (tmp_path / f"global_step_{step}" / SEAL).write_text("{}")
    made = make_stage(stage, overrides=[f"{stage}.checkpoint.keep={keep}"])
    saved = tmp_path / "global_step_4"
    trainer = SimpleNamespace(saved=saved, stage=made, progress=dict, _asked=lambda: None, _make_last=lambda _: None)
    StageTrainer._seal(trainer)
    assert [path.name for path in complete(tmp_path)] == [f"global_step_{step}" for step in range(5 - keep, 5)]


@pytest.mark.parametrize("stage", STAGES)
def test_checkpoint_upload(make_stage, tmp_path, stage):
    made = make_stage(stage, overrides=[f"{stage}.checkpoint.upload=file://{tmp_path}/bucket"])
    saved = made.checkpoints / "global_step_1"
    saved.mkdir(parents=True)
    trainer = SimpleNamespace(saved=saved, stage=made, progress=dict, _asked=lambda: None, _make_last=lambda _: None)
    StageTrainer._seal(trainer)
    assert (tmp_path / "bucket" / made.run_dir.name / "checkpoints" / "global_step_1" / SEAL).is_file()


@pytest.mark.parametrize("stage", STAGES)
def test_stop_tokens_of(make_stage, tmp_path, stage):
    ended = tmp_path / "other" / "checkpoints" / "global_step_1"
    ended.mkdir(parents=True)
    (ended / SEAL).write_text('{"generated_tokens": 25}')
    (tmp_path / "other" / MANIFEST).write_text('{"export": "checkpoints/global_step_1/policy"}')
    for overrides, reason in (([], None), ([f"{stage}.stop.tokens_of=[{tmp_path / 'other'}]"], "25 tokens generated")):
        made = make_stage(stage, overrides=overrides)
        trainer = SimpleNamespace(stage=made, rules=StopRules(made.settings.stop), _asked=lambda: None)
        said = StageTrainer._others_spent(trainer, 25)
        assert said is None if reason is None else reason in said


@pytest.mark.parametrize("stage", STAGES)
def test_stop_grace_seconds(make_stage, stage):
    assert SignalHandlers(make_stage(stage)).grace != 7
    assert SignalHandlers(make_stage(stage, overrides=[f"{stage}.stop.grace_seconds=7"])).grace == 7


# Values of a step for which a guard's default limit holds, and a limit for which it does not.
GUARD_LIMITS = {
    "mismatch": 1e-9,
    "constant_verdicts": 0.6,
    "zero_rewards": 0,
    "truncation": -0.1,
    "entropy_floor": 0.9,
    "entropy_ceiling": 0.1,
}


@pytest.mark.parametrize("name", GUARD_LIMITS)
def test_guard_limit_and_action(name):
    limit = GUARD_LIMITS[name]
    assert check(Guards(), step_row(), GuardState()) == []
    warning = Guards(**{name: Guard(Action.warn, limit)})
    assert [line.split(":")[0] for line in check(warning, step_row(), GuardState())] == [f"guard {name}"]
    with pytest.raises(GuardTripped):
        check(Guards(**{name: Guard(Action.stop, limit)}), step_row(), GuardState())


# Limits within which a step as healthy as the first steps does not lie.
DRIFT_LIMITS = {"length_drift": 0.5, "reward_drop": 1.5}


@pytest.mark.parametrize("name", DRIFT_LIMITS)
def test_drift_limit_and_action(name):
    def state():
        return GuardState.after([step_row(step) for step in range(1, FIRST + 1)])

    limit, row = DRIFT_LIMITS[name], step_row(FIRST + 1)
    assert check(Guards(), row, state()) == []
    warning = Guards(**{name: Guard(Action.warn, limit)})
    assert [line.split(":")[0] for line in check(warning, row, state())] == [f"guard {name}"]
    with pytest.raises(GuardTripped):
        check(Guards(**{name: Guard(Action.stop, limit)}), row, state())


def grading(*overrides):
    class Tokenizer:
        def apply_chat_template(self, *_, **__):
            return "user: 1+1?"

    from judgerlvr.pipeline.reward_settings import grading_settings

    return grading_settings(load_config("configs/tiny.yaml", overrides).reward, Tokenizer())


def test_reward():
    usual = grading()
    made = grading("reward.verifier=my:verify", "reward.extraction=lenient", "reward.workers=5")
    assert (made.verifier, made.mode, made.workers) == ("my:verify", "lenient", 5)
    assert usual.verifier != "my:verify" and usual.mode != "lenient" and usual.workers != 5


def test_canary_every(make_stage):
    made = make_stage(overrides=["reward.canary_every=0"])
    assert make_stage().config.reward.canary_every > 0
    assert Canary(made).every == 0


def test_run_names(tmp_path):
    config = load_config("configs/tiny.yaml", [f"runs={tmp_path / 'mine'}", "name=first"])
    request = Request("judge", config, tmp_path, tmp_path, "cpu")
    assert run_folder(request.folder) == tmp_path / "mine" / "first"


def test_device():
    assert requests.make_request("judge", load_config("configs/tiny.yaml", ["cluster.device=cpu"])).device == "cpu"
    with pytest.raises(InputError, match="no GPU is visible"):
        requests.make_request("judge", load_config("configs/tiny.yaml", ["cluster.device=gpu"]))


def test_model_path(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        requests.make_request("judge", load_config("configs/tiny.yaml", [f"model.path={tmp_path / 'nowhere'}"]))


class Stopped(Exception):
    """Raised in place of the second wait of the watchdog."""


@pytest.mark.parametrize(
    ("guard", "training", "said"), [("hang_minutes", True, "no step finished"), ("start_minutes", False, "start")]
)
def test_watchdog(make_stage, monkeypatch, capsys, guard, training, said):
    waits = iter([None])

    def wait(_):
        if next(waits, Stopped) is Stopped:
            raise Stopped

    monkeypatch.setattr(runner, "pending_bundles", lambda: [])
    monkeypatch.setattr(runner.time, "sleep", wait)
    made = make_stage(overrides=[f"guards.{guard}.limit=1e-9", f"guards.{guard}.action=warn"])
    with pytest.raises(Stopped):
        runner._watch(SimpleNamespace(training=training, heartbeat=0.0), made)
    line = capsys.readouterr().out
    assert f"guard {guard}" in line and said in line


def test_planning():
    overrides = ["planning.card=h200", "planning.host_gib=7", "planning.disk_gib=9", "planning.network_gb_s=3"]
    made = machine_of(load_config("configs/tiny.yaml", overrides).planning, Path(), "cpu")
    assert (made.card, made.host_gib, made.disk_gib, made.network_gb_s) == ("h200", 7, 9, 3)
    other = machine_of(load_config("configs/tiny.yaml", ["planning.card=h100"]).planning, Path(), "cpu")
    assert other.card == "h100" and other.host_gib != 7 and other.disk_gib != 9 and other.network_gb_s != 3


def test_rollout_gpus_per_node(make_stage):
    key, mode = "actor_rollout_ref.rollout.n_gpus_per_node", "cluster.trainer_mode=separate_async"
    assert rendered(make_stage, "generate", "gpu", key, mode, "cluster.rollout_gpus_per_node=3") == 3


def test_planning_cpus(make_stage):
    assert offered(make_stage(device="gpu", overrides=["planning.cpus=9"]))[0].cpus == 9


def test_planning_measured(tmp_path):
    shape = read_shape(Path(__file__).parents[1] / "planning" / "shapes" / "qwen3-0.6b")
    machine = Machine(card="h100", host_gib=64.0, disk_gib=400.0, network_gb_s=50.0)
    assert not make_plan("judge", load_config("configs/tiny.yaml"), shape, machine).measured
    config = load_config("configs/tiny.yaml", [f"planning.measured={tmp_path / 'nowhere.json'}"])
    with pytest.raises(InputError, match="nowhere"):
        make_plan("judge", config, shape, machine)


@pytest.mark.parametrize("override", ["cluster.recompute=none", "cluster.compile=false"])
def test_environment_of_the_training_engine(make_stage, override):
    assert stage_environment(make_stage(device="gpu")) != stage_environment(
        make_stage(device="gpu", overrides=[override])
    )


@pytest.mark.parametrize(("value", "width"), [("true", 4), ("false", 1)])
def test_share_prefixes(make_stage, value, width):
    overrides = [f"cluster.share_prefixes={value}", "cluster.micro_batch_tokens=1000"]
    assert stage_environment(make_stage(overrides=overrides))[SHARE_PREFIXES] == value.title()
    tokens = "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu"
    assert rendered(make_stage, "generate", "cpu", tokens, *overrides) == 1000 * width


def test_replay(make_stage, monkeypatch):
    monkeypatch.setattr("judgerlvr.runs.stage.Stage.chooses_blocks", property(lambda _: True))
    replaying, comparing = (
        stage_environment(make_stage(overrides=[f"hysparse.replay={value}"])) for value in ("true", "false")
    )
    assert replaying != comparing


# Keys whose effect another test asserts by training or sampling: file and test.
ELSEWHERE = {
    "judge.solving.problems": "tests/pipeline/test_solving_data.py::test_validation_prompts_count_judge_rows_alone",
    "judge.solving.samples": "tests/pipeline/test_solving_data.py::test_judge_rows_have_samples_of_their_own",
    "judge.solving.stop_gain": "tests/engine/test_solving.py::test_the_trainer_stops_by_the_gain_of_its_stage",
    "cluster.sequence_parallel": "tests/engine/test_shared_row.py::test_each_rank_has_half_of_the_row",
    "engine": "tests/engine/test_engine_section.py::test_a_key_of_verl_reaches_its_configuration",
    "model.replay_experts": "tests/engine/test_rollout_experts.py::test_a_cpu_rollout_returns_experts_by_our_connector",
    "planning.measured": "tests/config/test_every_key.py::test_planning_measured",
    "planning.cpus": "tests/config/test_every_key.py::test_planning_cpus",
    "planning.network_gb_s": "tests/config/test_every_key.py::test_planning",
    "judge.data.sample_from": "tests/config/test_keys_of_data.py::test_sample_from_and_samples_per_problem",
    "judge.data.samples_per_problem": "tests/config/test_keys_of_data.py::test_sample_from_and_samples_per_problem",
    "judge.data.candidates": "tests/config/test_keys_of_data.py::test_candidates",
    "judge.data.verdicts": "tests/config/test_keys_of_data.py::test_verdicts",
}


def leaves():
    for name, item in keys():
        value = item.default_factory() if callable(item.default_factory) else item.default
        if not is_dataclass(value):
            yield name


def test_no_key_is_left_out():
    """A key that is added to the schema needs a test in one of two files, or an entry in ELSEWHERE."""
    source = "".join(path.read_text() for path in (Path(__file__), Path(test_keys_of_data.__file__)))
    tried = {f"{stage}.{key}" for stage in STAGES for key in OF_A_STAGE} | set(OF_A_RUN) | set(ELSEWHERE)
    tried |= {
        f"guards.{name}.{part}"
        for name in (*GUARD_LIMITS, *DRIFT_LIMITS, "hang_minutes", "start_minutes")
        for part in ("action", "limit")
    }
    tried |= {f"{stage}.{key}" for stage in STAGES for key in SHARED}
    # A quotation mark in front: name= and seed= are also arguments of functions.
    tried |= {name for name in leaves() if f'"{name}=' in source}
    assert set(leaves()) - tried == set()


# Tried above for both stages by code that serves both.
SHARED = (
    "agent_loop",
    "algorithm.importance_level",
    "algorithm.overlong",
    "algorithm.overlong_buffer",
    "stop.generated_tokens",
    "stop.hours",
    "stop.plateau.steps",
    "stop.plateau.min_gain",
    "stop.tokens_of",
    "stop.grace_seconds",
    "checkpoint.keep",
    "checkpoint.upload",
)


@pytest.mark.parametrize("key", ELSEWHERE)
def test_a_test_that_is_named_exists_and_names_the_key(key):
    file, _, name = ELSEWHERE[key].partition("::")
    text = (Path(__file__).parents[2] / file).read_text()
    assert name.startswith("test_") and f"def {name}(" in text
    assert key.rpartition(".")[2] in text
