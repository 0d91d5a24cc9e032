"""Two arms side by side on a running cluster of one machine with two logical GPUs."""

import os
import sys
from datetime import datetime

import pytest
import yaml

from judgerlvr.models.identity import model_hash
from judgerlvr.runs.checkpoints import SEAL
from judgerlvr.runs.manifest import read_manifest
from tests.helpers.ray_head import run
from tests.helpers.stage_runs import SMALL
from tests.helpers.two_nodes import TOKEN, head

pytestmark = [pytest.mark.engine, pytest.mark.slow]
ARMS = ("one", "other")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(output, folder) of two arms with the same settings and seed."""
    folder = tmp_path_factory.mktemp("arms")
    # With a warm-up the first step would have the learning rate 0.
    settings = ["generate.stop.steps=1", "generate.optimizer.warmup_steps=0", "data.tiny_heldout=16"]
    words = [*(word for word in SMALL if not word.startswith("--")), *settings]
    arms = {name: {"stages": [{"stage": "generate", "name": name}]} for name in ARMS}
    evaluation = {"problems": 4, "samples": 1}
    (folder / "plan.yaml").write_text(yaml.safe_dump({"overrides": words, "arms": arms, "evaluation": evaluation}))
    with head(tmp_path_factory.mktemp("ray"), cpus=40, gpus=2) as address:
        command = [sys.executable, "-m", "judgerlvr.experiment", folder / "plan.yaml", "--out", folder / "out"]
        done = run([*command, "--at-once", 2], os.environ | TOKEN | {"RAY_ADDRESS": address})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, folder / "out"


def span(run_dir):
    """Start of a run and time of its last seal."""
    seals = [path.stat().st_mtime for path in run_dir.glob(f"checkpoints/*/{SEAL}")]
    return datetime.fromisoformat(read_manifest(run_dir).started).timestamp(), max(seals)


def test_both_arms_were_at_work_together(trained):
    output, out = trained
    (one, one_ends), (other, other_ends) = (span(out / name) for name in ARMS)
    assert "2 arms at once" in output and max(one, other) < min(one_ends, other_ends)


def test_neither_arm_changed_the_other(trained):
    """Equal settings and seeds end in equal weights, bit by bit, and not in the base's."""
    one, other = (model_hash(trained[1] / "ckpt" / name) for name in ARMS)
    assert one == other
    assert read_manifest(trained[1] / "one").changed_weights > 0.5


def test_both_arms_are_in_the_report(trained):
    page = (trained[1] / "report.html").read_text()
    assert all(name in page for name in ARMS)
