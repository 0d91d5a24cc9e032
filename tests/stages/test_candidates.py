"""Stage 1 on the CPU with candidates of its own policy, sampled again between steps, and batches sized by tokens."""

import json
import subprocess
import sys

import pytest

from data.hashing import file_sha256
from data.row_files import read_rows
from judgerlvr.config.load import ROOT
from tests.helpers.stage_runs import SMALL

pytestmark = [pytest.mark.engine, pytest.mark.slow]
LIMIT = 900
SETTINGS = [
    *SMALL,
    "judge.stop.steps=2",
    "judge.data.candidates=refresh_every:1",
    "judge.batch.prompts_per_step=match_tokens",
    "judge.data.problems=64",
    "judge.data.samples_per_problem=4",
    "logging.tensorboard=false",
    "name=judge",
]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("candidates")
    where = [f"runs={folder}", "--out", str(folder / "ckpt")]
    command = [sys.executable, "-m", "judgerlvr.stage1_judge", *SETTINGS, *where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "judge"


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def judged(run_dir, step):
    return read(run_dir / "rollouts" / f"step_{step:06d}.jsonl")


def test_second_step_judges_what_the_policy_of_the_first_wrote(run_dir):
    fresh = {row["extra_info"]["id"] for row in read_rows(run_dir / "data" / "train-1.parquet")}
    assert {row["id"] for row in judged(run_dir, 2)} <= fresh
    models = {row["model"] for row in read(run_dir / "data" / "candidates-1.jsonl")}
    assert len(models) == 1 and models != {row["model"] for row in read(run_dir / "data" / "candidates.jsonl")}


def test_fresh_candidates_leave_held_out_problems_alone(run_dir):
    heldout = {row["extra_info"]["problem_id"] for row in read_rows(run_dir / "data" / "heldout.parquet")}
    assert heldout.isdisjoint(row["problem_id"] for row in read(run_dir / "data" / "candidates-1.jsonl"))


def test_manifest_holds_the_hash_of_the_last_training_set(run_dir):
    manifest = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["data"]["train"] == file_sha256(run_dir / "data" / "train-1.parquet")


def test_matched_batch_holds_more_prompts_than_a_generate_batch_of_longer_samples(run_dir):
    prompts = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))["prompts_per_step"]
    assert prompts > 8 and prompts % 2 == 0
