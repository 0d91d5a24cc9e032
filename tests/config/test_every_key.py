"""Every configuration key does something: a changed key changes a value of verl's configuration, or a behaviour."""

import copy
from contextlib import nullcontext
from dataclasses import is_dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from judgerlvr.config.load import keys, load_config
from judgerlvr.config.schema import Action, Guard, Guards, Plateau, Stop
from judgerlvr.engine import runner, verl_config
from judgerlvr.engine.devices import stage_environment
from judgerlvr.engine.in_training.canary import Canary
from judgerlvr.engine.in_training.guards import GuardState, GuardTripped
from judgerlvr.engine.in_training.stopping import StopRules
from judgerlvr.engine.verl_config import agent_loops_file, render, write_agent_loops
from judgerlvr.models.directory import pick_device
from judgerlvr.pipeline import judge_data, problems, requests, stages
from judgerlvr.pipeline.checks import offered
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.planning.machine import machine_of
from judgerlvr.planning.measured import factors_for
from judgerlvr.runs.checkpoints import SEAL, complete, prune
from judgerlvr.runs.folder import run_folder
from judgerlvr.runs.metrics import HELDOUT_BALANCED, StepRow
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError
from rewards.grading.settings import GradingSettings
from rewards.types import Problem
from tests.helpers.guard_checks import check
from tests.helpers.key_tables import OF_A_RUN, OF_A_STAGE
from tests.helpers.run_folders import step_row

STAGES = ("judge", "generate")


@pytest.fixture(autouse=True, scope="module")
def composed_once():
    """verl's own configuration is composed once. Each rendering begins with a copy."""
    composed = verl_config.compose()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verl_config, "compose", lambda: copy.deepcopy(composed))
        yield


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
def test_overlong(make_stage, stage):
    for choice, masked in (("mask", True), ("wrong", False)):
        made = make_stage(stage, overrides=[f"{stage}.algorithm.overlong={choice}"])
        write_agent_loops(made)
        assert OmegaConf.load(agent_loops_file(made))[0].mask_truncated is masked


@pytest.mark.parametrize("stage", STAGES)
def test_overlong_buffer(make_stage, stage):
    overrides = [f"{stage}.algorithm.overlong=penalty", f"{stage}.algorithm.overlong_buffer=21"]
    assert rendered(make_stage, stage, "cpu", "reward.reward_kwargs.overlong_buffer_cfg.len", *overrides) == 21


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (Stop(generated_tokens=10), "stop.generated_tokens 10"),
        (Stop(hours=1e-9), "stop.hours"),
        (Stop(plateau=Plateau(steps=1)), "has not risen"),
    ],
)
def test_stop(stop, reason):
    rules = StopRules(stop)
    rules.observe(StepRow(1, "judge", 0.0, {HELDOUT_BALANCED.name: 0.0}))
    assert reason in (rules.reason_to_stop(10) or "")


def test_stop_plateau_min_gain():
    def reason(min_gain):
        rules = StopRules(Stop(plateau=Plateau(steps=1, min_gain=min_gain)))
        for step, accuracy in ((1, 0.6), (2, 0.61)):
            rules.observe(StepRow(step, "judge", 0.0, {HELDOUT_BALANCED.name: accuracy}))
        return rules.reason_to_stop(0)

    assert reason(0.005) is None
    assert reason(0.05)


def test_checkpoint_keep(tmp_path):
    for step in range(1, 5):
        (tmp_path / f"global_step_{step}").mkdir()
        (tmp_path / f"global_step_{step}" / SEAL).write_text("{}")
    prune(tmp_path, keep=3)
    assert [path.name for path in complete(tmp_path)] == ["global_step_2", "global_step_3", "global_step_4"]


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


def sets_of(*overrides):
    return ProblemSets(load_config("configs/tiny.yaml", overrides), GradingSettings(workers=1))


def test_tiny_problems():
    made = sets_of("data.tiny_train=5", "data.tiny_heldout=3", "judge.data.problems=2")
    assert (len(made.train), len(made.heldout), len(made.for_candidates)) == (5, 3, 2)


def problem_file(folder, name, texts):
    path = folder / name
    path.write_text(
        "".join(f'{{"id": "{name}{i}", "problem": "{text}", "gold": "7"}}\n' for i, text in enumerate(texts))
    )
    return path


LONG = "A farmer sells nine apples and seven pears at the market on every single day of the week in June"


def test_data_files(tmp_path):
    train, heldout = problem_file(tmp_path, "a.jsonl", ["one"]), problem_file(tmp_path, "b.jsonl", ["two", "three"])
    made = sets_of(f"data.train=[{train}]", f"data.heldout=[{heldout}]")
    assert ([p.text for p in made.train], [p.text for p in made.heldout]) == (["one"], ["two", "three"])


def test_evaluation_and_contamination(tmp_path):
    train, held = problem_file(tmp_path, "a.jsonl", [LONG, "short"]), problem_file(tmp_path, "b.jsonl", [LONG])
    files = [f"data.train=[{train}]", f"data.evaluation=[{held}]"]
    assert len(sets_of(files[0]).train) == 2
    with pytest.raises(InputError, match="contaminated"):
        _ = sets_of(*files).train
    assert [p.text for p in sets_of(*files, "data.contamination=drop").train] == ["short"]


def grading(*overrides):
    class Tokenizer:
        def apply_chat_template(self, *_, **__):
            return "user: 1+1?"

    from judgerlvr.pipeline.reward_settings import grading_settings

    return grading_settings(load_config("configs/tiny.yaml", overrides), Tokenizer())


def test_reward():
    made = grading("reward.verifier=my:verify", "reward.extraction=lenient", "reward.workers=5")
    assert (made.verifier, made.mode, made.workers) == ("my:verify", "lenient", 5)


def test_canary_every(make_stage):
    made = make_stage(overrides=["reward.canary_every=0"])
    assert Canary(made).every == 0


def test_run_names(tmp_path):
    config = load_config("configs/tiny.yaml", [f"runs={tmp_path / 'mine'}", "name=first"])
    assert run_folder(config, "judge") == tmp_path / "mine" / "first"


def test_device():
    assert pick_device("cpu") == "cpu"
    with pytest.raises(InputError, match="no GPU is visible"):
        pick_device("gpu")


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
    made = machine_of(load_config("configs/tiny.yaml", overrides), "cpu")
    assert (made.card, made.host_gib, made.disk_gib, made.network_gb_s) == ("h200", 7, 9, 3)


def test_planning_cpus(make_stage):
    assert offered(make_stage(device="gpu", overrides=["planning.cpus=9"]))[0].cpus == 9


def test_planning_measured(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        factors_for("h100", str(tmp_path / "nowhere.json"))


@pytest.mark.parametrize("override", ["cluster.recompute=none", "cluster.compile=false"])
def test_environment_of_the_training_engine(make_stage, override):
    assert stage_environment(make_stage(device="gpu")) != stage_environment(
        make_stage(device="gpu", overrides=[override])
    )


def test_replay(make_stage, monkeypatch):
    monkeypatch.setattr("judgerlvr.runs.stage.Stage.chooses_blocks", property(lambda _: True))
    replaying, comparing = (
        stage_environment(make_stage(overrides=[f"hysparse.replay={value}"])) for value in ("true", "false")
    )
    assert replaying != comparing


def judge_set(*overrides):
    """Settings that the judge set is made with."""
    config = load_config("configs/tiny.yaml", overrides)
    return judge_data.judge_set_settings(config, config.judge.data.heldout_problems)


@pytest.mark.parametrize(
    ("override", "read", "expected"),
    [
        ("judge.data.view=full_response", lambda settings: settings.view.name, "full_response"),
        ("judge.data.cap_per_problem=9", lambda settings: settings.cap_per_problem, 9),
        ("judge.data.heldout_problems=11", lambda settings: settings.heldout_problems, 11),
        ("judge.data.shuffle_labels=true", lambda settings: settings.shuffle_labels, True),
        ("data.bad_rows=drop", lambda settings: settings.bad_rows, "drop"),
    ],
)
def test_judge_set(override, read, expected):
    assert read(judge_set()) != expected
    assert read(judge_set(override)) == expected


@pytest.mark.parametrize("key", ["data.prompt", "judge.data.prompt"])
def test_a_prompt_file_is_found_beside_the_checkout(key):
    config = OmegaConf.structured(load_config("configs/tiny.yaml"))
    assert Path(OmegaConf.select(config, key)).is_file()
    changed = OmegaConf.structured(load_config("configs/tiny.yaml", [f"{key}=configs/prompts/judge.txt"]))
    assert OmegaConf.select(changed, key).endswith("configs/prompts/judge.txt")


# Keys whose effect another test asserts by training or sampling: file and test.
ELSEWHERE = {
    "cluster.share_prefixes": "tests/engine/test_distinct_prefixes.py::test_layers_see_prefixes_alone",
    "judge.stop.tokens_of": "tests/runs/test_others_tokens.py::test_beside_and_afterwards_end_at_the_same_step",
    "generate.stop.tokens_of": "tests/runs/test_others_tokens.py::test_beside_and_afterwards_end_at_the_same_step",
    "engine": "tests/engine/test_verl_keys.py::test_a_key_of_verl_reaches_its_configuration",
    "model.replay_experts": "tests/engine/test_rollout_experts.py::test_a_cpu_rollout_returns_experts_by_our_connector",
    "data.columns": "tests/data/test_formats.py::test_unusual_columns_are_mapped",
    "planning.measured": "tests/config/test_every_key.py::test_planning_measured",
    "planning.cpus": "tests/config/test_every_key.py::test_planning_cpus",
    "planning.network_gb_s": "tests/config/test_every_key.py::test_planning",
    "judge.batch.prompts_per_step": "tests/engine/test_verl_config.py::test_three_batch_numbers_become_verls",
    "generate.batch.prompts_per_step": "tests/engine/test_verl_config.py::test_three_batch_numbers_become_verls",
    "judge.stop.grace_seconds": "tests/engine/test_signals.py::test_with_grace_the_step_is_finished_first",
    "generate.stop.grace_seconds": "tests/engine/test_signals.py::test_with_grace_the_step_is_finished_first",
    "judge.data.responses": "tests/stages/test_end_to_end.py::judge_arguments",
    "judge.data.sample_from": "tests/config/test_every_key.py::test_sample_from_and_samples_per_problem",
    "judge.data.samples_per_problem": "tests/config/test_every_key.py::test_sample_from_and_samples_per_problem",
    "judge.data.candidates": "tests/config/test_every_key.py::test_candidates_and_verdicts",
    "judge.data.verdicts": "tests/config/test_every_key.py::test_candidates_and_verdicts",
}


def test_sample_from_and_samples_per_problem(monkeypatch, tmp_path, make_stage):
    from judgerlvr.sampling import candidates
    from tests.helpers.fake_engines import FakeEngines

    made = make_stage("judge", overrides=["judge.data.samples_per_problem=7"])
    monkeypatch.setattr(candidates, "ray_engines", lambda settings: nullcontext(FakeEngines()))
    base, asked_of = base_path("qwen3_moe"), [Problem("p", "a=1", "1")]
    rows = candidates.sample_candidates(made, [base], asked_of, "{{problem}}", tmp_path, tmp_path / "kept")
    assert [row["sample"] for row in rows] == list(range(7))

    asked = []
    monkeypatch.setattr(judge_data, "sample_candidates", lambda place, models, *_: asked.append(models) or [])
    config = load_config(
        "configs/tiny.yaml",
        [f"judge.data.sample_from=[{tmp_path}]", "data.tiny_train=2", "judge.data.heldout_problems=1"],
    )
    request = stages.Request("judge", config, tmp_path / "init", tmp_path / "out", "cpu")
    (tmp_path / "data").mkdir()
    judge_data.collect_candidates(request, tmp_path, problems.ProblemSets(config, GradingSettings(workers=1)))
    assert asked == [[tmp_path.resolve()]]


def test_candidates_and_verdicts(tmp_path):
    from judgerlvr.config.check import refresh_every
    from judgerlvr.pipeline.reward_settings import reward_settings

    config = load_config("configs/tiny.yaml", ["judge.data.candidates=refresh_every:4", "judge.data.verdicts=[A,B]"])
    assert refresh_every(config) == 4

    class Tokenizer:
        def apply_chat_template(self, *_, **__):
            return ""

    request = stages.Request("judge", config, tmp_path, tmp_path, "cpu")
    assert reward_settings(request, Tokenizer(), tmp_path)["reward_kwargs"]["words"] == ["A", "B"]


def leaves():
    for name, item in keys():
        value = item.default_factory() if callable(item.default_factory) else item.default
        if not is_dataclass(value):
            yield name


def test_no_key_is_left_out():
    """A key that is added to the schema needs a test here, or an entry in ELSEWHERE."""
    source = Path(__file__).read_text()
    tried = {f"{stage}.{key}" for stage in STAGES for key in OF_A_STAGE} | set(OF_A_RUN) | set(ELSEWHERE)
    tried |= {
        f"guards.{name}.{part}"
        for name in (*GUARD_LIMITS, "hang_minutes", "start_minutes")
        for part in ("action", "limit")
    }
    tried |= {f"{stage}.{key}" for stage in STAGES for key in SHARED}
    tried |= {name for name in leaves() if f"{name}=" in source}
    assert set(leaves()) - tried - DIRECT == set()


# Tried above for both stages by code that serves both.
SHARED = (
    "algorithm.overlong",
    "algorithm.overlong_buffer",
    "stop.generated_tokens",
    "stop.hours",
    "stop.plateau.steps",
    "stop.plateau.min_gain",
    "checkpoint.keep",
)
DIRECT = {"cluster.device", "data.prompt", "judge.data.prompt"}


@pytest.mark.parametrize("node", sorted(set(ELSEWHERE.values())))
def test_a_test_that_is_named_exists(node):
    file, _, name = node.partition("::")
    root = Path(__file__).parents[2]
    assert f"def {name}(" in (root / file).read_text()
