"""The demo is the product's own commands: each is understood by the entry point it names, and budgets match."""

import json

import pytest
import torch

from judgerlvr import evaluate, report, stage1_judge, stage2_generate
from judgerlvr.config.load import load_config
from judgerlvr.evaluation import command as evaluation_command
from judgerlvr.experiments import command as experiment_command
from judgerlvr.experiments import demo
from judgerlvr.experiments.arms_of_seed import ArmsOfSeed, Evaluation
from judgerlvr.experiments.commands import ALONE
from judgerlvr.export import __main__ as export
from judgerlvr.export import policy
from judgerlvr.export.change import Change
from judgerlvr.export.policy import Exported
from judgerlvr.pipeline import command
from judgerlvr.reporting import command as report_command
from judgerlvr.runs.checkpoints import SEAL

JUDGE_TOKENS, GENERATE_TOKENS = 700, 900


def fake_run(out, name, steps, tokens):
    """The sealed checkpoints that a stage would leave."""
    for step in steps:
        folder = out / name / "checkpoints" / f"global_step_{step}"
        folder.mkdir(parents=True)
        (folder / SEAL).write_text(json.dumps({"generated_tokens": tokens}))


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Options as parsed by each command of one demo, in order, with the modules' work left out."""
    monkeypatch.chdir(tmp_path)
    out, seen = tmp_path / "demo", []
    config = load_config("configs/tiny.yaml")
    judge, both = config.judge.stop.steps, config.judge.stop.steps + config.generate.stop.steps
    runs = iter(
        [
            ("judge", [judge], JUDGE_TOKENS),
            ("generate", [both - judge], GENERATE_TOKENS),
            ("vanilla", [both, both + 3], 0),
        ]
    )

    def stage(kind, options):
        seen.append(("stage", options))
        fake_run(out, *next(runs))

    monkeypatch.setattr(command, "run_command", stage)
    monkeypatch.setattr(evaluation_command, "evaluate", lambda options: seen.append(("evaluate", options)))
    monkeypatch.setattr(
        policy,
        "export_policy",
        lambda at, *_: seen.append(("export", at)) or Exported(at, torch.float32, Change(1, 2, 2)),
    )
    monkeypatch.setattr(
        report_command, "write_report", lambda folders, page, _: seen.append(("report", (folders, page)))
    )
    modules = {
        "stage1_judge": stage1_judge,
        "stage2_generate": stage2_generate,
        "evaluate": evaluate,
        "export": export,
        "report": report,
    }

    def call(module, *arguments, apart=False):
        assert modules[module].main([str(argument) for argument in arguments]) == 0

    monkeypatch.setattr(experiment_command, "call", call)
    monkeypatch.setattr(experiment_command, "import_once", lambda device, address: None)
    monkeypatch.setattr(experiment_command, "room_here", lambda *_: ALONE)
    assert demo.main(["--out", str(out)]) == 0
    return out, seen


def test_order_is_train_evaluate_report(commands):
    _, seen = commands
    assert [kind for kind, _ in seen] == ["stage"] * 3 + ["export"] + ["evaluate"] * 5 + ["report"]


def test_second_stage_starts_from_the_judge_and_vanilla_from_the_base(commands):
    out, seen = commands
    _, generate, vanilla = (options for kind, options in seen if kind == "stage")
    assert generate.init == out / "ckpt" / "judge"
    assert vanilla.init is None


def test_vanilla_gets_the_tokens_of_both_stages(commands):
    out, seen = commands
    vanilla = seen[2][1]
    stop = load_config(vanilla.config, vanilla.overrides).generate.stop
    assert stop.tokens_of == [str(out / "judge"), str(out / "generate")]


def test_vanilla_is_evaluated_at_equal_steps_and_at_equal_tokens(commands):
    out, seen = commands
    folders = [options.out for kind, options in seen if kind == "evaluate"]
    config = load_config("configs/tiny.yaml")
    equal = f"step_{config.judge.stop.steps + config.generate.stop.steps}"
    assert folders[-2:] == [out / "vanilla" / "eval" / "final", out / "vanilla" / "eval" / equal]


def test_an_evaluation_grades_as_the_policy_was_trained(tmp_path):
    own = ["judge.data.verdicts=[Right,Wrong]", "reward.extraction=lenient", "reward.verifier=mine:verify"]
    options = demo.parse_arguments(["--out", str(tmp_path / "demo"), *own])
    arms = ArmsOfSeed(demo.plan_of(options), tmp_path / "demo", None, call=None)
    _, *words = arms._words(Evaluation(tmp_path / "model", tmp_path / "out", arms.config))
    options = evaluate.parse_arguments([str(word) for word in words])
    assert (options.verdicts, options.extraction, options.verifier) == (["Right", "Wrong"], "lenient", "mine:verify")
