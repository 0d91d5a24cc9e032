"""The bad-input table of the stages' command line: exit code 2 and a line, before a model is loaded."""

import json
import os
import shutil
import sys

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.models.configuration import read_config
from judgerlvr.runs.checkpoints import SEAL
from judgerlvr.stage1_judge import main as stage1
from judgerlvr.stage2_generate import main as stage2
from tests.helpers.hysparse_models import make_model

BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"


@pytest.fixture
def model(tmp_path):
    """A copy of the dense base with an empty weight file. Nothing here may read weights."""
    folder = tmp_path / "model"
    shutil.copytree(BASE, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").touch()
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(capsys, main, *arguments):
    """The one line of an exit with code 2, with the tiny preset unless the arguments name a file."""
    preset = [] if {"--config", "--resume"} & set(arguments) else ["--config", "configs/tiny.yaml"]
    assert main([*preset, *map(str, arguments)]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    return line


OVERRIDES = {
    "sed=1": "did you mean 'seed'",
    "seed=one": "seed",
    "cluster.device=tpu": "auto, cpu, gpu",
    "generate.batch.updates_per_step=5": "make it divide 24",
    "model.path=nowhere": "config.json is missing",
    "generate.max_response_tokens=100000": "context of 512 tokens",
    "data.prompt=nowhere.txt": "no such prompt template",
    "data.train=[nowhere.jsonl]": "no such file",
    "max_prompt_tokens=2": "prompt too long",
    f"model.path={BASE} model.replay_experts=true": "the policy is of type qwen3, not qwen3_moe",
    "cluster.rollout_engine.attention_backnd=X": "did you mean attention_backend?",
    "cluster.attention=flashy": "transformers has no such attention; use one of auto",
    "cluster.attention=flash_attention_2": "transformers runs this attention on GPUs alone; use one of auto",
    **dict.fromkeys(
        ("cluster.attention=sdpa", "cluster.attention=eager"),
        "prefixes are shared in our own attention alone",
    ),
    "generate.algorithm.clip_low=1.5": "give a number above 0 and at most 1",
    "runs=a-file": "a-file",
    "model.path=loop": "the path cannot be followed",
    "cluster.rollout_cpu_gib=10000": "10000 GiB of KV cache on a machine of",
    "data.tiny_train=10 --dry-run": "24 prompts a step, and the training data has 10 that fit; set at most 8",
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_override_is_refused(capsys, override, tmp_path):
    (tmp_path / "a-file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert OVERRIDES[override] in refused(capsys, stage2, *override.split())


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_nothing_is_left_to_train_a_judge_on(capsys, more):
    line = refused(capsys, stage1, "judge.data.problems=30", "judge.data.heldout_problems=30", *more)
    assert "30 problems held out, and there are 30" in line


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_a_judge_stage_without_held_out_problems_is_refused(capsys, more):
    line = refused(capsys, stage1, "judge.data.heldout_problems=0", *more)
    assert "judge.data.heldout_problems" in line and "no problem is held out" in line


SOLVES = ["judge.validation.every=1", "judge.solving.problems=4"]
SOLVING = {
    "judge.solving.stop_gain=0.1": "nothing is solved while judging; set judge.solving.problems to 1 or more",
    "judge.solving.samples=2": "nothing is solved while judging",
    "judge.solving.problems=4": "without validation solving is never measured; set judge.validation.every to 1 or more",
    **{
        " ".join([*SOLVES, more]): says
        for more, says in {
            "judge.solving.stop_gain=2": "give a number at least 0 and at most 1",
            "judge.solving.problems=401": "401 problems to solve, and 400 held-out problems can be used",
            "data.train=[train.jsonl] generate.validation.every=0": "held-out problems of your own, and there are none",
            "judge.data.responses=[train.jsonl]": "held-out problems of your own, and there are none",
            "generate.max_response_tokens=500 judge.data.sample_from=[elsewhere]": "context of 512 tokens < 596 needed",
        }.items()
    },
}


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["run", "dry run"])
@pytest.mark.parametrize("overrides", SOLVING)
def test_a_measurement_of_solving_that_cannot_be_made_is_one_line(capsys, tmp_path, overrides, more):
    (tmp_path / "train.jsonl").write_text('{"problem": "1+1?", "gold": "2"}\n')
    assert SOLVING[overrides] in refused(capsys, stage1, *overrides.split(), *more)
    assert not (tmp_path / "runs" / "judge" / "data" / "candidates.jsonl").exists()


def test_a_dry_run_says_how_many_problems_are_solved(capsys):
    assert stage1(["--config", "configs/tiny.yaml", *SOLVES, "--dry-run"]) == 0
    assert "4 held-out problems to solve at each validation" in capsys.readouterr().out


BATCH = "judge.batch.prompts_per_step="
# 20 problems are left to train on. Each gives two right and two wrong candidates of four, or fewer by a cap.
FEW = ["judge.data.problems=30", "judge.data.heldout_problems=10", "judge.data.samples_per_problem=5"]


@pytest.mark.parametrize(("cap", "most"), [(5, 80), (1, 40)])
@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_candidates_that_cannot_fill_a_step_are_not_sampled(capsys, more, cap, most):
    line = refused(capsys, stage1, *FEW, f"judge.data.cap_per_problem={cap}", f"{BATCH}{most + 8}", *more)
    assert f"the candidates of 20 problems give at most {most}" in line


def test_candidates_that_can_fill_a_step_pass(capsys):
    preset = ["--config", "configs/tiny.yaml", "judge.data.cap_per_problem=5"]
    assert stage1([*preset, *FEW, f"{BATCH}80", "--dry-run"]) == 0


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "127.0.0.1:1", "nowhere", "ray://127.0.0.1:10001", ":"])
def test_address_of_no_cluster(capsys, monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert "RAY_ADDRESS" in refused(capsys, stage2)


# Faults of a verifier, and the words of the line.
VERIFIERS = {
    "raise ValueError('boom')": "verifier_at_fault.py:3 (ValueError: boom)",
    "return None": "returned None, not a rewards.types.Result",
    "return True": "returned True, not a rewards.types.Result",
    "return 1.0": "returned 1.0, not a rewards.types.Result",
    "return Result(0.5, Reason.CORRECT)": "returned the score 0.5, not 0.0 or 1.0",
    "return Result(float('nan'), Reason.CORRECT)": "returned the score nan",
    "return problem.nothing": "AttributeError",
    "raise SystemExit(3)": "SystemExit: 3",
}


@pytest.mark.parametrize("body", VERIFIERS)
def test_a_verifier_at_fault_is_named_with_its_line(capsys, monkeypatch, tmp_path, body):
    source = f"from rewards.types import Reason, Result\ndef verify(problem, text):\n    {body}\n"
    (tmp_path / "verifier_at_fault.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "verifier_at_fault", raising=False)
    line = refused(capsys, stage2, "--dry-run", "reward.verifier=verifier_at_fault:verify")
    assert VERIFIERS[body] in line
    assert "verifier_at_fault:verify fails on problem" in line


def test_a_prompt_without_a_box_gets_a_word(capsys, tmp_path):
    (tmp_path / "p.txt").write_text("{{problem}}")
    assert stage2(["--dry-run", "--config", "configs/tiny.yaml", "data.prompt=p.txt"]) == 0
    assert "p.txt does not ask for \\boxed{}" in capsys.readouterr().out


HYSPARSE = {
    "cluster.rollout_engine.async_scheduling=true": "leave it out",
    "cluster.rollout_engine.kv_transfer_config={}": "leave it out",
    "cluster.tensor_parallel=2 cluster.nodes=2": "set at most 1",
    "cluster.sequence_parallel=2 cluster.gpus_per_node=2 cluster.share_prefixes=false": "needs whole rows",
}


@pytest.mark.parametrize("overrides", HYSPARSE)
def test_override_that_would_lose_block_indices_is_refused(capsys, overrides):
    policy = f"model.path={BASE.parent / 'hysparse'}"
    assert HYSPARSE[overrides] in refused(capsys, stage2, policy, *overrides.split())


@pytest.fixture
def second(tmp_path, capsys):
    """HySparse2 with the vocabulary and the tokenizer of the tiny world's bases."""
    folder = tmp_path / "second"
    shutil.copytree(BASE, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    sizes = {name: read_config(BASE)[name] for name in ("vocab_size", "max_position_embeddings")}
    make_model("hysparse2-tiny", select_block=1, select_tokens=40, **sizes).save_pretrained(folder)
    capsys.readouterr()  # a bar that tells the progress of the save
    return folder


@pytest.mark.parametrize("main", [stage1, stage2])
def test_layers_without_kernels_are_refused_on_gpus(capsys, second, main):
    line = refused(capsys, main, f"model.path={second}", "cluster.device=gpu", "--dry-run")
    assert "self_decoder_layers" in line and "no kernel takes its layers; set cluster.device=cpu" in line


def test_a_start_on_a_cpu_takes_them(second):
    assert stage2(["--dry-run", "--config", "configs/tiny.yaml", f"model.path={second}"]) == 0


def test_missing_config_file(capsys):
    assert "no such config file" in refused(capsys, stage2, "--config", "nowhere.yaml")


def test_missing_checkpoint(capsys):
    assert "nowhere: no such folder; give a finished policy" in refused(capsys, stage2, "--init", "nowhere")


def test_resume_and_init_together(capsys):
    assert "--resume and --init together" in refused(capsys, stage2, "--resume", "runs/a", "--init", "ckpt/judge")


def test_resume_and_override_together(capsys):
    assert "leave out key=value" in refused(capsys, stage2, "--resume", "runs/a", "seed=1")


@pytest.mark.parametrize("override", ["cluster.attention=sdpa", "cluster.device=gpu", "cluster.gpus_per_node.x=1"])
def test_resume_and_what_would_change_the_numbers(capsys, override):
    more = ["cluster.gpus_per_node=2", override]
    assert "leave out key=value" in refused(capsys, stage2, "--resume", "runs/a", *more)


def test_resume_of_nothing(capsys):
    assert "no run to resume" in refused(capsys, stage1, "--resume", "runs/nowhere")


def test_resume_of_a_folder_that_is_no_run_leaves_nothing(capsys, tmp_path):
    assert "no run to resume" in refused(capsys, stage1, "--resume", ".")
    assert list(tmp_path.iterdir()) == []


def test_resume_of_no_path(capsys):
    with pytest.raises(SystemExit, match="2"):
        stage1(["--resume", ""])
    assert "an empty path" in capsys.readouterr().err


def test_resume_with_the_other_stage(capsys, tmp_path):
    run = tmp_path / "runs" / "judge"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("seed: 1\n")
    (run / "manifest.json").write_text(json.dumps({"stage": "judge"}))
    assert "is a judge run" in refused(capsys, stage2, "--resume", run)


def test_resume_of_a_finished_run(capsys, tmp_path):
    """A run folder that was moved after the end of the run."""
    run = tmp_path / "runs" / "generate"
    checkpoint = run / "checkpoints" / "global_step_3"
    checkpoint.mkdir(parents=True)
    (checkpoint / SEAL).write_text("{}")
    (run / "config.yaml").write_text("seed: 1\n")
    export = f"/before/checkpoints/{checkpoint.name}/actor/huggingface"
    (run / "manifest.json").write_text(json.dumps({"stage": "generate", "export": export}))
    line = refused(capsys, stage2, "--resume", run)
    assert "the run is over (it ended at global_step_3)" in line
    assert f"start a new run with model.path={checkpoint / 'policy'}" in line


def test_resume_of_a_finished_run_of_the_version_before(capsys, tmp_path):
    run = tmp_path / "runs" / "generate"
    older = run / "checkpoints" / "global_step_3" / "actor" / "huggingface"
    older.mkdir(parents=True)
    (older / "model.safetensors").touch()
    (older.parents[1] / SEAL).write_text("{}")
    (run / "config.yaml").write_text("seed: 1\n")
    (run / "manifest.json").write_text(json.dumps({"stage": "generate", "export": str(older)}))
    assert f"start a new run with model.path={older}" in refused(capsys, stage2, "--resume", run)


def test_init_from_shards(capsys, tmp_path):
    checkpoint = tmp_path / "runs" / "judge" / "checkpoints" / "global_step_3"
    shutil.copytree(BASE, checkpoint / "actor" / "huggingface", ignore=shutil.ignore_patterns("*.safetensors"))
    (checkpoint / "actor" / "fsdp_config.json").write_text("{}")
    remedy = f"python -m judgerlvr.export {checkpoint}"
    assert remedy in refused(capsys, stage2, "--init", checkpoint / "actor" / "huggingface")


@pytest.mark.parametrize("out", ["/proc/policy", "a-file/policy", "/proc/self/new/policy"])
def test_name_of_the_policy_cannot_be_made(capsys, tmp_path, out):
    (tmp_path / "a-file").touch()
    assert "nothing can be made here" in refused(capsys, stage2, "--out", out)
    assert not (tmp_path / "runs").exists()


def test_existing_run_folder(capsys, tmp_path):
    (tmp_path / "runs" / "mine" / "thesis").mkdir(parents=True)
    assert "is no run folder" in refused(capsys, stage2, "name=mine")


def test_name_of_the_policy_is_taken(capsys, tmp_path):
    (tmp_path / "ckpt" / "generate").mkdir(parents=True)
    assert "give another --out" in refused(capsys, stage2)


def test_policy_of_an_earlier_run_is_not_replaced(capsys, tmp_path):
    export = tmp_path / "runs" / "older" / "checkpoints"
    export.mkdir(parents=True)
    (tmp_path / "ckpt").mkdir()
    (tmp_path / "ckpt" / "generate").symlink_to(export)
    assert "give another --out" in refused(capsys, stage2)


def test_no_space_left(capsys, monkeypatch):
    monkeypatch.setattr("judgerlvr.runs.folder.LEAST_FREE_GIB", 1e9)
    assert "no space left" in refused(capsys, stage2)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("model.safetensors", "no *.safetensors"),
        ("tokenizer_config.json", "no tokenizer"),
        ("chat_template.jinja", "no chat template"),
    ],
)
def test_incomplete_model(capsys, model, file, says):
    (model / file).unlink()
    assert says in refused(capsys, stage2, f"model.path={model}")


def test_broken_model_config(capsys, model):
    (model / "config.json").write_text("{")
    assert "not JSON" in refused(capsys, stage2, f"model.path={model}")


def test_vocab_mismatch(capsys, model):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"vocab_size": 100}))
    assert "vocab mismatch" in refused(capsys, stage2, f"model.path={model}")


def test_judge_responses_without_a_mixed_problem(capsys, tmp_path):
    row = {"id": "a", "problem": "1+1?", "gold": "2", "response": "\\boxed{2}"}
    (tmp_path / "r.jsonl").write_text(json.dumps(row) + "\n")
    assert "nothing to judge" in refused(capsys, stage1, "judge.data.responses=[r.jsonl]")


def test_nothing_is_left_behind_when_data_is_refused(capsys, tmp_path):
    refused(capsys, stage2, "max_prompt_tokens=2")
    assert not list((tmp_path / "runs").glob("*/checkpoints"))


def test_dry_run_starts_nothing(capsys, tmp_path):
    assert stage2(["--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "graded against itself is correct" in printed
    assert "samples a step" in printed
    assert not (tmp_path / "runs").exists()


def test_overrides_may_stand_between_options(capsys):
    assert stage2(["data.tiny_train=30", "--config", "configs/tiny.yaml", "seed=1", "--dry-run", "seed=2"]) == 0
    assert "30 training problems" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_tracker_that_is_not_installed_is_one_line(capsys, monkeypatch, name):
    monkeypatch.setattr("judgerlvr.pipeline.inputs.importlib.util.find_spec", lambda _: None)
    line = refused(capsys, stage2, f"logging.{name}=true", "--dry-run")
    assert f"field 'logging.{name}': {name} is not installed; pip install {name}, or unset it" in line
