"""HySparse policies in generation RL on the CPU: vLLM rollouts, FSDP2 updates, weight sync, replay, export."""

import json
import subprocess
import sys

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.hysparse.model.remote_code import MODULES, flat_name
from judgerlvr.runs.metrics import read_metrics
from judgerlvr.tinyworld.making.checkpoint import base_path
from tests.helpers.hysparse2_policy import write_policy
from tests.helpers.stage_runs import SMALL

pytestmark = [pytest.mark.engine, pytest.mark.slow]
LIMIT, STEPS = 600, 2
SETTINGS = [
    *SMALL,
    "generate.algorithm.dynamic_sampling=false",
    "generate.algorithm.old_log_probs_every=1",
    "data.tiny_heldout=16",
    "logging.tensorboard=false",
    "cluster.device=cpu",
    "name=generate",
]
# Converted bases: close enough to their sources to be right at times, so that there is something to learn from.
# Two blocks of 16 tokens: most rows see more.
SHAPE = ["--sparse-ratio", "2", "--select-block", "16", "--select-tokens", "32", "--window", "32"]


def run(module, *arguments):
    command = [sys.executable, "-m", f"judgerlvr.{module}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def convert(source, folder):
    run("hysparse.convert", base_path(source), folder, *SHAPE)


def train(folder, *settings):
    """Metrics of each step of the policy in ``folder``, and the run's folder."""
    where = [f"model.path={folder / 'model'}", f"runs={folder / 'runs'}", "--out", folder / "ckpt"]
    run("stage2_generate", *SETTINGS, *settings, *where)
    found = folder / "runs" / "generate"
    return [row.values for row in read_metrics(found / "metrics.jsonl") if row.is_training], found


@pytest.mark.parametrize("source", ["qwen3", "qwen3_moe"])
@pytest.mark.parametrize("make", [convert, write_policy], ids=["HySparse", "HySparse2"])
def test_two_steps_whose_rollouts_are_the_trainers(make, source, tmp_path):
    make(source, tmp_path / "model")
    steps, folder = train(tmp_path, f"generate.stop.steps={STEPS}")
    assert len(steps) == STEPS
    assert any(row["actor/grad_norm"] > 0 for row in steps)
    assert max(row["training/rollout_probs_diff_max"] for row in steps) <= 2e-4
    assert min(row["hysparse/crowded_rows"] for row in steps) >= 0.5
    assert all(row["hysparse/equal_choices"] == 1 for row in steps)  # the trainer's own, replay aside
    assert all(row["hysparse/differing_rows"] == 0 for row in steps)
    assert [row.get("hysparse/equal_experts") for row in steps] == [1 if source == "qwen3_moe" else None] * STEPS
    assert max(row["hysparse/mismatch_agreeing"] for row in steps) <= 2e-4
    assert min(row["hysparse/ess"] for row in steps) >= 0.999
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["changed_weights"] > 0.5
    code = {path.name for path in (folder / manifest["export"]).glob("*.py")}
    assert code == {f"{flat_name(module)}.py" for module in MODULES}


@pytest.mark.parametrize("replay", [True, False])
def test_rollouts_in_bf16_choose_otherwise_and_replay_uses_it(replay, tmp_path):
    """The trainer stays in fp32. In either case it is told how its own choices differ."""
    precision = "cluster.rollout_engine.dtype=bfloat16"
    convert("qwen3_moe", tmp_path / "model")
    (step,), _ = train(tmp_path, "generate.stop.steps=1", precision, f"hysparse.replay={replay}")
    assert 0.9 < step["hysparse/equal_choices"] < 1
    assert 0.9 < step["hysparse/equal_experts"] < 1
    assert step["hysparse/mismatch_differing"] > step["hysparse/mismatch_agreeing"] or replay
    assert (step["hysparse/differing_rows"] == 0) is replay
