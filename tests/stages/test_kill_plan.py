"""The script of kills: the plan follows from the seed, and the run's files tell the phase."""

import json
import os
import random
import subprocess
import sys
import time
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory
from subprocess import PIPE

import pytest

from benchmarks.stages.killing.faults import NOBODY, faults
from benchmarks.stages.killing.page import page
from benchmarks.stages.killing.plan import ALONE, ANY, KINDS, PHASES, STAGES, STEPS, VICTIMS, Kill, clock, plan
from benchmarks.stages.killing.running import Running, phase_of, victim_of
from judgerlvr.runs.checkpoints import SEAL
from judgerlvr.runs.manifest import MANIFEST
from judgerlvr.runs.metrics import METRICS, PASSING, PHASE, PROGRESS, append_row
from tests.helpers.leftovers import left_by, shared_memory, unmapped
from tests.helpers.run_folders import step_row

NOW = 1e9
WAY = "nothing sealed yet, 0 steps lost; continue with: python -m judgerlvr.stage1_judge --resume /r/judge --out /c/j"
KILLED = "failed: worker WorkerDict (process 7, node 10.0.0.1) was killed: SIGKILL"
# The exit code and the last lines of a good end.
GOOD_ENDS = {
    **{kind: (1, [WAY, KILLED]) for kind in VICTIMS},
    "raylet": (1, [WAY, "failed: Ray's raylet on this machine (process 9) was killed by SIGKILL"]),
    "driver": (-9, ["step 1"]),
    "sigterm": (143, [f"failed: SIGTERM; {WAY}"]),
    "disk": (1, ["failed: no space left on the device; free some space, then give the same command again"]),
    "memory": (1, [WAY, "failed: out of memory: the kernel killed 1 process(es) at the control group's limit"]),
}


def test_a_seed_gives_the_plan_again():
    assert plan(20, 3) == plan(20, 3)
    assert plan(20, 3) != plan(20, 4)


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_covers_kinds_phases_and_stages(seed):
    kills = plan(20, seed)
    assert {kill.kind for kill in kills} == set(KINDS)
    assert {(kill.stage, kill.wanted) for kill in kills} == {(stage, phase) for stage in STAGES for phase in PHASES}
    assert [kill.stage for kill in kills] == sorted((kill.stage for kill in kills), key=STAGES.index)
    assert [kill.number for kill in kills] == list(range(20))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [10, 20])
def test_a_clock_draws_each_kind_and_the_publishing_of_both_stages(count, seed):
    kills = clock(count, seed)
    assert {kill.kind for kill in kills} == set(KINDS)
    publishing = [kill for kill in kills if kill.wanted == "publish"]
    assert [kill.stage for kill in publishing] == list(STAGES) and {kill.kind for kill in publishing} <= set(ALONE)
    others = [kill for kill in kills if kill.wanted == ANY]
    assert len(others) == count - 2 and {kill.wanted_step for kill in others} <= set(range(1, STEPS + 1))
    met = [(STAGES.index(kill.stage), kill.wanted_step) for kill in kills]
    assert met == sorted(met) and [kill.number for kill in kills] == list(range(count))


@pytest.mark.parametrize("draw", [plan, clock])
def test_one_stage_can_be_killed_alone(draw):
    assert {kill.stage for kill in draw(10, 0, ["generate"])} == {"generate"}


def test_a_seed_gives_the_clock_again():
    assert clock(10, 3) == clock(10, 3)
    assert clock(10, 3) != clock(10, 4)


@pytest.mark.parametrize("seed", range(20))
def test_no_process_is_killed_in_a_phase_without_it(seed):
    assert {kill.kind for kill in plan(20, seed) if kill.wanted in ("start", "publish")} <= set(ALONE)


def test_a_process_that_a_pattern_does_not_meet_ends_the_trial(monkeypatch, tmp_path):
    running = object.__new__(Running)
    running.process, running.sessions = subprocess.Popen(["sleep", "60"]), tmp_path
    monkeypatch.setattr("benchmarks.stages.killing.running.FOUND", 0.1)
    with pytest.raises(SystemExit, match="engine: no process matches"):
        victim_of("engine", running, random.Random(0))
    assert running.ended


def test_a_page_has_a_row_for_each_kill_and_a_line_for_each_stage():
    found = {"same": False, "hidden": [], "rows": [1, 2], "extra_rounds": [2, 1]}
    lines = page(plan(3, 0), {"judge": found, "generate": found | {"same": True}}).splitlines()
    assert len(lines) == 2 + 3 + 1 + 2
    assert {line.count("|") for line in lines[:5]} == {lines[0].count("|")}
    assert lines[-2].startswith("- judge: OTHER WEIGHTS") and lines[-1].startswith("- generate: the same bits")


def test_a_page_names_what_is_left_in_a_run():
    found = {"same": True, "hidden": ["checkpoints/.policy.7"], "rows": [], "extra_rounds": []}
    assert page([], {"judge": found}).endswith("- judge: left in the run folder: checkpoints/.policy.7")


def ended(kind, code, last, **seen):
    return Kill(0, kind, "judge", "update", 1, 0.5, victim="7", code=code, last=last, **seen)


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_end_has_no_fault(kind):
    assert faults(ended(kind, *GOOD_ENDS[kind])) == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "driver"])
def test_faults_of_an_end_are_named(kind):
    code, last = GOOD_ENDS[kind]
    assert faults(ended(kind, None, last)) == [f"exit code None and not {code}"]
    assert faults(ended(kind, code, ["Aborted"])) == ["no cause", "no way on"]


def test_what_is_left_and_printed_is_a_fault_of_any_end():
    seen = {"left": ["file socket"], "not_finite": ["global_step_1"], "tracebacks": 2}
    for kill in (ended("driver", -9, [], **seen), ended("trainer", 0, [], **seen)):
        assert faults(kill) == ["left: file socket", "not finite: global_step_1", "2 tracebacks"]


def test_a_full_disk_that_the_start_finds_is_bad_input():
    line = "error: a/runs: no space left (0.00 GiB free); free some, or set runs= to another disk"
    assert faults(ended("disk", 2, [line])) == []
    assert faults(ended("disk", 2, ["error: no space"])) == ["exit code 2 and not 1", "no cause", "no way on"]


def test_a_command_that_dies_with_its_worker_is_a_fault():
    assert faults(ended("trainer", -9, [])) == ["the command was killed"]
    assert faults(ended("memory", -9, [])) == []


def test_a_kill_that_came_too_late_has_no_fault():
    kill = ended("sigterm", 0, ["done"])
    kill.victim = NOBODY
    assert faults(kill) == []


# Lines of the progress while the engines start, and of a step.
STARTING, STEPPING = f"{PHASE}starting Ray\n", f"{PASSING}step 1: sampling\n   judge [####] 1/2\n"


def write(run, name, text="", at=NOW):
    path = run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))
    os.utime(path.parent, (at, at))


@pytest.mark.parametrize(
    ("files", "phase"),
    [
        ({}, ("start", 2)),
        ({PROGRESS: STARTING}, ("start", 2)),
        ({PROGRESS: STEPPING + STARTING}, ("start", 2)),
        ({PROGRESS: STEPPING}, ("sampling", 2)),
        ({PROGRESS: STEPPING, "rollouts/step_000001.jsonl": ""}, ("sampling", 2)),
        ({PROGRESS: STEPPING, "rollouts/step_000002.jsonl": ""}, ("update", 2)),
        ({"rollouts/step_000002.jsonl": "", "checkpoints/global_step_2/actor": ""}, ("save", 2)),
        ({"rollouts/step_000002.jsonl": "", f"checkpoints/global_step_2/{SEAL}": ""}, ("update", 2)),
    ],
)
@pytest.mark.parametrize("old", [False, True], ids=["of this command", "of the command before"])
def test_phase_of_a_run_by_its_files(tmp_path, files, phase, old):
    write(tmp_path, MANIFEST, json.dumps({"trained": None, "export": None}))
    append_row(tmp_path / METRICS, step_row(1))
    for name, text in files.items():
        write(tmp_path, name, text)
    noted = len(files.get(PROGRESS, "")) if old else 0
    assert phase_of(tmp_path, NOW + 1 if old else NOW, noted) == (("start", 2) if old else phase)


def test_a_command_that_goes_on_is_in_no_step_before_it_notes_one(tmp_path):
    """Its first lines stand behind the steps of the command before, in a file that is new again."""
    write(tmp_path, MANIFEST, json.dumps({"trained": None, "export": None}))
    write(tmp_path, PROGRESS, STEPPING + "samples per step: 32\n")
    assert phase_of(tmp_path, NOW, len(STEPPING)) == ("start", 1)


def test_phase_before_and_after_training(tmp_path):
    assert phase_of(tmp_path, NOW) == ("start", 0)
    write(tmp_path, MANIFEST, json.dumps({"trained": "global_step_1", "export": None}))
    append_row(tmp_path / METRICS, step_row(1))
    assert phase_of(tmp_path, NOW) == ("publish", 2)
    assert phase_of(tmp_path, NOW + 1) == ("start", 2)
    write(tmp_path, MANIFEST, json.dumps({"trained": "global_step_1", "export": "policy"}))
    assert phase_of(tmp_path, NOW) == ("over", 2)


@pytest.mark.parametrize(
    ("wanted", "step", "time"),
    [("start", 1, "start"), ("sampling", 2, "sampling 1"), ("sampling", 3, "sampling 3"), (ANY, 2, "step 1")],
)
def test_a_share_is_of_the_time_of_the_same_step(wanted, step, time):
    """Later steps of a command are faster than the first one, here step 2."""
    running = object.__new__(Running)
    running.first = 2
    assert running.timed(Kill(0, "engine", "judge", wanted, step, 0.5)) == time


@pytest.fixture
def base(tmp_path):
    (tmp_path / "sessions").mkdir()
    (tmp_path / "run").mkdir()
    return tmp_path


def test_a_process_and_a_file_that_are_left_are_seen(base):
    variables = os.environ | {"RAY_TMPDIR": str(base / "sessions" / "judge-ray-1")}
    child = subprocess.Popen(["sleep", "60"], env=variables)
    (base / "sessions" / "socket").touch()
    try:
        deadline = time.monotonic() + 5
        while (
            len(found := left_by(base / "sessions", base / "run", shared_memory())) < 2 and time.monotonic() < deadline
        ):
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()
    assert found == ["process sleep 60", "file socket"]
    (base / "sessions" / "socket").unlink()
    assert left_by(base / "sessions", base / "run", shared_memory()) == []


def test_a_lock_that_is_left_is_seen(base):
    code = f"from pathlib import Path\nfrom judgerlvr.runs.lock import held\nwith held(Path({str(base / 'run')!r})):\n"
    child = subprocess.Popen([sys.executable, "-c", code + " print(flush=True)\n input()"], stdin=PIPE, stdout=PIPE)
    child.stdout.readline()
    assert left_by(base / "sessions", base / "run", shared_memory()) == ["lock of run"]
    child.communicate(b"\n")
    assert left_by(base / "sessions", base / "run", shared_memory()) == []


def test_a_semaphore_of_a_living_process_is_not_left():
    """A semaphore is mapped under another name than its own."""
    before = shared_memory()
    semaphore = get_context("spawn").Semaphore()
    name = f"sem.{semaphore._semlock.name.lstrip('/')}"
    assert name in shared_memory() - before
    assert unmapped({name}) == set()


def test_shared_memory_that_nobody_maps_is_seen(base):
    before = shared_memory()
    memory = SharedMemory(create=True, size=8)
    try:
        assert f"shared memory {memory.name}" not in left_by(base / "sessions", base / "run", before)
        memory.close()
        assert f"shared memory {memory.name}" in left_by(base / "sessions", base / "run", before)
    finally:
        memory.unlink()
