"""The script of kills: the plan follows from the seed, and the run's files tell the phase."""

import json
import os

import pytest

from benchmarks.stages.kills import SPREAD, STAGES, phase_of, plan
from judgerlvr.runs.checkpoints import SEAL
from judgerlvr.runs.manifest import MANIFEST
from judgerlvr.runs.metrics import METRICS, append_row
from tests.helpers.run_folders import step_row

KINDS = ["driver", "trainer", "raylet"]
NOW = 1e9


def test_a_seed_gives_the_plan_again():
    assert plan(20, 3, KINDS) == plan(20, 3, KINDS)
    assert plan(20, 3, KINDS) != plan(20, 4, KINDS)


def test_a_plan_covers_kinds_phases_and_stages():
    kills = plan(20, 0, KINDS)
    assert {kill.kind for kill in kills} == set(KINDS)
    assert {kill.wanted for kill in kills} == set(SPREAD)
    assert [kill.stage for kill in kills] == sorted((kill.stage for kill in kills), key=STAGES.index)


def write(run, name, text="", at=NOW):
    path = run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))
    os.utime(path.parent, (at, at))


@pytest.mark.parametrize(
    ("files", "phase"),
    [
        ([], ("start", 2)),
        (["workers/0.json"], ("sampling", 2)),
        (["workers/0.json", "rollouts/step_000001.jsonl"], ("sampling", 2)),
        (["workers/0.json", "rollouts/step_000002.jsonl"], ("update", 2)),
        (["rollouts/step_000002.jsonl", "checkpoints/global_step_2/actor"], ("save", 2)),
        (["rollouts/step_000002.jsonl", f"checkpoints/global_step_2/{SEAL}"], ("update", 2)),
    ],
)
@pytest.mark.parametrize("old", [False, True], ids=["of this command", "of the command before"])
def test_phase_of_a_run_by_its_files(tmp_path, files, phase, old):
    write(tmp_path, MANIFEST, json.dumps({"trained": None, "export": None}))
    append_row(tmp_path / METRICS, step_row(1))
    for name in files:
        write(tmp_path, name)
    assert phase_of(tmp_path, NOW + 1 if old else NOW) == (("start", 2) if old else phase)


def test_phase_before_and_after_training(tmp_path):
    assert phase_of(tmp_path, NOW) == ("start", 0)
    write(tmp_path, MANIFEST, json.dumps({"trained": "global_step_1", "export": None}))
    append_row(tmp_path / METRICS, step_row(1))
    assert phase_of(tmp_path, NOW) == ("publish", 2)
    write(tmp_path, MANIFEST, json.dumps({"trained": "global_step_1", "export": "policy"}))
    assert phase_of(tmp_path, NOW) == ("over", 2)
