"""Both stages for real, on the CPU, through their command lines: train, die, resume, hand over, refuse."""

import getpass
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data.importing.options import ReadOptions
from data.jsonl import read_jsonl, write_jsonl
from data.problems import read_problems
from judgerlvr.cluster import remains
from judgerlvr.config.load import ROOT
from judgerlvr.export.shards import Shards
from judgerlvr.runs.checkpoints import SEAL, export_dir
from judgerlvr.runs.metrics import ACCURACY, ENTROPY, EXTRA_ROUNDS, GRADIENT, MISMATCH, read_metrics
from judgerlvr.tinyworld.problems import generate_problems
from tests.helpers.leftovers import left_by, processes, shared_memory, short_sessions
from tests.helpers.stage_runs import SMALL, write_candidates

pytestmark = pytest.mark.engine
STEPS = 3
LIMIT = 600
INSTRUCTIONS = "tests.helpers.instructions:keeps"
SETTINGS = [
    *SMALL,
    "judge.algorithm.dynamic_sampling=true",
    "judge.algorithm.max_extra_rounds=2",
    f"judge.stop.steps={STEPS}",
    "judge.checkpoint.every=1",
    "judge.checkpoint.keep=0",
    "generate.stop.steps=1",
    "generate.validation.every=1",
    "generate.validation.prompts=8",
    "data.tiny_heldout=16",
]


def command(module, *arguments):
    return [sys.executable, "-m", f"judgerlvr.{module}", *map(str, arguments)]


def run(module, *arguments, **variables):
    words, environment = command(module, *arguments), os.environ | variables
    return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False, cwd=ROOT, env=environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Candidates written by the tiny world's tracer: mixed outcomes without sampling a model."""
    folder = tmp_path_factory.mktemp("stages")
    write_candidates(folder / "candidates.jsonl")
    return folder


def judge_arguments(folder, name):
    responses = f"judge.data.responses=[{folder / 'candidates.jsonl'}]"
    # Step 3 takes the rollout's old log-probabilities, before and after the resume.
    own = [responses, f"runs={folder / 'runs'}", f"name={name}", "judge.algorithm.old_log_probs_every=2"]
    own.append("judge.algorithm.importance_cap=0")
    return [*SETTINGS, *own, "--out", folder / "ckpt" / name]


@pytest.fixture(scope="module")
def finished(folder, sessions):
    """(run folder, what is left) of a judge run that nothing interrupts. Compiled code is kept for later runs."""
    run_dir, before = folder / "runs" / "whole", shared_memory()
    compiled = os.environ.get("TORCHINDUCTOR_CACHE_DIR", f"{tempfile.gettempdir()}/torchinductor_{getpass.getuser()}")
    places = {"TMPDIR": str(sessions), "TORCHINDUCTOR_CACHE_DIR": compiled}
    done = run("stage1_judge", *judge_arguments(folder, "whole"), **places)
    assert done.returncode == 0, done.stdout + done.stderr
    deadline = time.monotonic() + 10
    while (left := left_by(sessions, run_dir, before)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return run_dir, left


@pytest.fixture(scope="module")
def whole(finished):
    return finished[0]


@pytest.fixture(scope="module")
def sessions():
    with short_sessions("e") as base:
        yield base


def worker_of(sessions, name):
    """The process of a Ray worker."""
    return next(pid for pid, found in processes(sessions).items() if found.startswith(f"ray::{name}"))


@dataclass
class Death:
    """How a command died: the process that got the signal, the exit code, the last lines, and what was left."""

    victim: int
    code: int
    printed: list
    left: list


def die(folder, sessions, found, victim, number):
    """Begin or continue the judge run, and send the signal to the victim once the run has written ``found``.

    ``victim`` is the name of a Ray worker, or None for the command itself.
    """
    run_dir, log = folder / "runs" / "killed", folder / "killed.log"
    before = time.time()
    with log.open("w") as file:
        process = subprocess.Popen(
            command("stage1_judge", *judge_arguments(folder, "killed")),
            stdout=file,
            stderr=file,
            cwd=ROOT,
            env=os.environ | {remains.VARIABLE: str(sessions)},
        )
    wanted, deadline = run_dir / found, time.monotonic() + LIMIT
    while not (wanted.exists() and wanted.stat().st_mtime >= before) and time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    pid = worker_of(sessions, victim) if victim else process.pid
    os.kill(pid, number)
    code = process.wait(timeout=120)
    deadline = time.monotonic() + 10
    while (left := left_by(sessions, run_dir)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return Death(pid, code, log.read_text().splitlines(), left)


@pytest.fixture(scope="module")
def deaths(folder, sessions):
    """Deaths of one run: the trainer behind the first seal, then the command in two updates of the second step."""
    second = Path("rollouts") / "step_000002.jsonl"
    return [
        die(folder, sessions, Path("checkpoints") / "global_step_1" / SEAL, "WorkerDict", signal.SIGKILL),
        die(folder, sessions, second, None, signal.SIGKILL),
        die(folder, sessions, second, None, signal.SIGTERM),
    ]


@pytest.fixture(scope="module")
def resumed(folder, deaths):
    """The run that died, continued by the same command."""
    run_dir = folder / "runs" / "killed"
    half = run_dir / "checkpoints" / "global_step_2"
    half.mkdir(exist_ok=True)
    (half / SEAL).unlink(missing_ok=True)  # as after a kill in the middle of saving
    done = run("stage1_judge", *judge_arguments(folder, "killed"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "continuing from global_step_1" in done.stdout
    return run_dir


def weights(run_dir, step):
    shards = Shards(run_dir / "checkpoints" / f"global_step_{step}" / "actor")
    return {name: shards.whole(name, torch.float32) for name in shards.names}


def responses(run_dir, step):
    lines = (run_dir / "rollouts" / f"step_{step:06d}.jsonl").read_text().splitlines()
    return [json.loads(line)["response"] for line in lines]


def test_finished_policy_is_published_and_was_checked(whole, folder):
    link = folder / "ckpt" / "whole"
    manifest = json.loads((whole / "manifest.json").read_text())
    assert Path(os.path.realpath(link)) == export_dir(whole / "checkpoints" / f"global_step_{STEPS}").resolve()
    assert manifest["changed_weights"] > 0.5
    assert manifest["length_term"] == "no"


def test_a_good_end_leaves_no_temporary_file_no_semaphore_and_no_process(finished):
    assert finished[1] == []


def test_tensorboard_files_lie_in_the_run_folder(whole):
    assert list((whole / "tensorboard").glob("events.out.tfevents.*"))


def test_training_changed_the_weights(whole):
    first, last = weights(whole, 1), weights(whole, STEPS)
    assert any(not torch.equal(first[name], last[name]) for name in first)


def test_rollout_and_trainer_agree(whole):
    steps = [row for row in read_metrics(whole / "metrics.jsonl") if MISMATCH.name in row.values]
    assert max(row.values["training/rollout_probs_diff_max"] for row in steps) < 1e-3


def test_what_needs_old_log_probabilities_is_absent_where_the_rollouts_were_taken(whole):
    steps = [row for row in read_metrics(whole / "metrics.jsonl") if row.is_training]
    for metric in (MISMATCH.name, ENTROPY.name, "mismatch/kl"):
        assert [row.step for row in steps if metric in row.values] == [1, 2]
    assert [row.step for row in steps] == [1, 2, STEPS]


def test_a_policy_that_chooses_no_blocks_has_no_metrics_of_them(whole):
    assert not [
        name for row in read_metrics(whole / "metrics.jsonl") for name in row.values if name.startswith("hysparse/")
    ]


def test_samples_of_a_group_differ(whole):
    group = responses(whole, 1)[:4]
    assert len(set(group)) > 1


def test_resumed_run_samples_what_the_whole_run_sampled(whole, resumed):
    for step in (2, 3):
        assert responses(whole, step) == responses(resumed, step)


def test_resumed_run_ends_with_the_same_bits(whole, resumed):
    one, other = weights(whole, STEPS), weights(resumed, STEPS)
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_uniform_groups_were_replaced_before_and_after_the_resume(resumed):
    rows = [row for row in read_metrics(resumed / "metrics.jsonl") if row.is_training]
    assert [row.step for row in rows if row[EXTRA_ROUNDS]] == list(range(1, STEPS + 1))


def test_no_step_is_logged_twice(resumed):
    steps = [row.step for row in read_metrics(resumed / "metrics.jsonl") if row.is_training]
    assert steps == list(range(1, STEPS + 1))


def test_tensorboard_shows_each_step_once(resumed):
    seen = EventAccumulator(str(resumed / "tensorboard")).Reload().Scalars(ACCURACY.name)
    assert [event.step for event in seen] == list(range(1, STEPS + 1))


def test_a_killed_trainer_is_named_with_its_signal_and_the_command_that_goes_on(deaths, folder):
    *_, advice, cause = deaths[0].printed
    assert deaths[0].code == 1
    assert f"(process {deaths[0].victim}, node " in cause
    assert cause.endswith(" was killed: SIGKILL")
    assert advice.endswith(f"--resume {folder / 'runs' / 'killed'} --out {folder / 'ckpt' / 'killed'}")


def test_a_terminated_run_names_the_command_that_goes_on(deaths, folder):
    last = deaths[2].printed[-1]
    assert deaths[2].code == 128 + signal.SIGTERM
    # Samples are written at the end of the sampling. The signal may come before the update, or behind the next seal.
    ends = ("sealed up to step 1, ", "sealed up to step 2, 0 steps lost", "step was finished; sealed up to step 2, ")
    assert any(end in last for end in ends)
    assert last.endswith(f"--resume {folder / 'runs' / 'killed'} --out {folder / 'ckpt' / 'killed'}")


def test_ten_seconds_after_a_death_nothing_is_left(deaths):
    assert [death.left for death in deaths] == [[], [], []]


def test_the_same_command_finds_the_run_finished(whole, folder):
    done = run("stage1_judge", *judge_arguments(folder, "whole"))
    assert done.returncode == 0
    assert "already finished" in done.stdout


def test_a_taken_name_is_left_alone(whole, folder):
    done = run("stage1_judge", *judge_arguments(folder, "other")[:-1], folder / "ckpt" / "whole")
    assert done.returncode == 2
    assert "give another --out" in done.stderr


def write_instructions(path, split, count):
    """Problems without a gold, each with a column that only the verifier reads."""
    rows = generate_problems(count, 0, split)
    write_jsonl(path, [{"problem": row["problem"], "must_have": at % 10} for at, row in enumerate(rows)])


@pytest.fixture(scope="module")
def generated(whole, folder):
    """Stage 2 from the judge, on problems without a gold and a verifier that reads the whole response."""
    for split, count in (("train", 64), ("heldout", 16)):
        write_instructions(folder / f"{split}.jsonl", split, count)
    data = [f"data.train=[{folder / 'train.jsonl'}]", f"data.heldout=[{folder / 'heldout.jsonl'}]"]
    arguments = [*SETTINGS, *data, f"reward.verifier={INSTRUCTIONS}", f"runs={folder / 'runs'}", "name=generate"]
    policies = ["--init", folder / "ckpt" / "whole", "--out", folder / "ckpt" / "generate"]
    # The judge's candidates were graded by another verifier.
    done = run("stage2_generate", *arguments, *policies, "--override-card")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "runs" / "generate"


def test_generate_stage_starts_from_the_judge(generated):
    assert json.loads((generated / "manifest.json").read_text())["parent"]["run"] == "whole"
    validated = [row for row in read_metrics(generated / "metrics.jsonl") if row.step == 1]
    assert "validation/accuracy/generate" in validated[0].values


def test_a_column_of_the_file_reaches_the_verifier_and_the_gradient(generated):
    (step,) = [row for row in read_metrics(generated / "metrics.jsonl") if row.is_training]
    assert 0 < step[ACCURACY] < 1
    assert step[GRADIENT] > 0


def test_columns_reach_a_response_verifier_in_training_and_evaluation(generated, folder, tmp_path):
    problems = {problem.id: problem for problem in read_problems(folder / "train.jsonl", ReadOptions(need_gold=False))}
    rollouts = list(read_jsonl(generated / "rollouts" / "step_000001.jsonl"))
    expected = [float(str(problems[row["id"]].meta["must_have"]) in row["response"]) for row in rollouts]
    assert [row["score"] for row in rollouts] == expected
    rows = [problems[row["id"]] for row in rollouts]
    stored = [
        {"problem": problem.text, "response": row["response"], **problem.meta}
        for problem, row in zip(rows, rollouts, strict=True)
    ]
    file, out = tmp_path / "stored.jsonl", tmp_path / "out"
    write_jsonl(file, stored)
    done = run("evaluate", "--responses", file, "--verifier", INSTRUCTIONS, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    graded = list(read_jsonl(out / "samples.jsonl"))
    assert sorted(row["score"] for row in graded) == sorted(expected)
