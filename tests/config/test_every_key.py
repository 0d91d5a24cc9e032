"""Every configuration key does something: a changed key changes a value of verl's configuration, or a behaviour."""

import copy
import json
from contextlib import nullcontext
from dataclasses import is_dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from data.row_files import read_rows
from judgerlvr.config.choices import Action
from judgerlvr.config.load import keys, load_config
from judgerlvr.config.schema import Guard, Guards
from judgerlvr.engine import runner, verl_config
from judgerlvr.engine.devices import stage_environment
from judgerlvr.engine.in_training.canary import Canary
from judgerlvr.engine.in_training.guards import GuardState, GuardTripped
from judgerlvr.engine.in_training.stopping import StopRules
from judgerlvr.engine.in_training.trainer import StageTrainer
from judgerlvr.engine.verl_config import agent_loops_file, render, write_agent_loops
from judgerlvr.models.directory import load_tokenizer, pick_device
from judgerlvr.pipeline import judge_data, problems, requests, stages
from judgerlvr.pipeline.checks import offered
from judgerlvr.pipeline.generate_data import prepare_generate
from judgerlvr.pipeline.judge_data import prepare_judge
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.planning.machine import Machine, machine_of
from judgerlvr.planning.plan import make_plan
from judgerlvr.planning.shapes import read_shape
from judgerlvr.runs.checkpoints import SEAL, complete
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
    other = machine_of(load_config("configs/tiny.yaml", ["planning.card=h100"]), "cpu")
    assert other.card == "h100" and other.host_gib != 7 and other.disk_gib != 9 and other.network_gb_s != 3


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
        ("judge.data.shuffle_labels=true", lambda settings: settings.shuffle_labels, True),
        ("data.bad_rows=drop", lambda settings: settings.bad_rows, "drop"),
    ],
)
def test_judge_set(override, read, expected):
    assert read(judge_set()) != expected
    assert read(judge_set(override)) == expected


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(base_path("qwen3_moe"))


def prepared(prepare, kind, folder, tokenizer, *overrides):
    """A stage that was prepared, with its training and held-out rows."""
    config = load_config("configs/tiny.yaml", [*overrides, "reward.workers=1"])
    request = stages.Request(kind, config, base_path("qwen3_moe"), folder / "out", "cpu")
    (folder / "data").mkdir(parents=True)
    stage, _ = prepare(request, folder, tokenizer, ProblemSets(config, GradingSettings(workers=1)))
    return stage, *(read_rows(folder / "data" / f"{name}.parquet") for name in ("train", "heldout"))


def test_prompt_and_batch_of_the_generate_stage(tmp_path, tokenizer):
    (tmp_path / "mine.txt").write_text("Mine. {{problem}}")
    few = ("data.tiny_train=4", "data.tiny_heldout=2")
    for size, prompt in ((4, []), (8, [f"data.prompt={tmp_path / 'mine.txt'}"])):
        overrides = (*few, *prompt, f"generate.batch.prompts_per_step={size}")
        stage, train, _ = prepared(prepare_generate, "generate", tmp_path / str(size), tokenizer, *overrides)
        assert stage.prompts_per_step == size
        assert {row["prompt"][-1]["content"].startswith("Mine. ") for row in train} == {bool(prompt)}


def test_responses_held_out_problems_prompt_and_batch_of_the_judge_stage(tmp_path, tokenizer):
    (tmp_path / "mine.txt").write_text("Mine. {{problem}} {{response}}")
    with (tmp_path / "responses.jsonl").open("w") as file:
        for number in range(12):
            for answer in ("7", "8"):
                row = {"id": str(number), "problem": f"a={number}", "gold": "7", "response": f"\\boxed{{{answer}}}"}
                file.write(json.dumps(row) + "\n")
    for heldout in (2, 3):
        overrides = (
            f"judge.data.responses=[{tmp_path / 'responses.jsonl'}]",
            f"judge.data.heldout_problems={heldout}",
            f"judge.data.prompt={tmp_path / 'mine.txt'}",
            f"judge.batch.prompts_per_step={heldout * 4}",
        )
        stage, train, held = prepared(prepare_judge, "judge", tmp_path / str(heldout), tokenizer, *overrides)
        assert stage.prompts_per_step == heldout * 4
        assert len({row["extra_info"]["problem_id"] for row in held}) == heldout
        assert all(row["prompt"][-1]["content"].startswith("Mine. a=") for row in train)


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
    "judge.stop.grace_seconds": "tests/engine/test_signals.py::test_with_grace_the_step_is_finished_first",
    "generate.stop.grace_seconds": "tests/engine/test_signals.py::test_with_grace_the_step_is_finished_first",
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
    # A quotation mark in front: name= and seed= are also arguments of functions.
    tried |= {name for name in leaves() if f'"{name}=' in source}
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
DIRECT = {"cluster.device"}


@pytest.mark.parametrize("key", ELSEWHERE)
def test_a_test_that_is_named_exists_and_names_the_key(key):
    file, _, name = ELSEWHERE[key].partition("::")
    text = (Path(__file__).parents[2] / file).read_text()
    assert name.startswith("test_") and f"def {name}(" in text
    assert key.rpartition(".")[2] in text
