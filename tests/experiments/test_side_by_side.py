"""Arms side by side: which arms may be, what a matched arm is told, and what a failure does to the other arm."""

import threading
import time
from functools import partial

import pytest

from judgerlvr.experiments import commands, room
from judgerlvr.experiments.arms_of_seed import ArmsOfSeed
from judgerlvr.experiments.commands import ALONE, Room, call, together
from judgerlvr.experiments.demo import DEMO_PLAN
from judgerlvr.experiments.plan import Budget, Kind, StagePlan, read_plan
from judgerlvr.experiments.spent import Spent
from rewards.errors import CommandFailed

ROOMY = Room(2, True)


@pytest.fixture
def plan():
    return read_plan(DEMO_PLAN)


def lists(plan, tmp_path, room=ROOMY):
    names = {id(arm): name for name, arm in plan.arms.items()}
    arms = ArmsOfSeed(plan, tmp_path / "out", None, call=None, room=room)
    return [[names[id(arm)] for arm in together] for together in arms._trained_together()]


def test_vanilla_trains_beside_the_chain_where_there_is_room(plan, tmp_path):
    assert lists(plan, tmp_path) == [["JudgeRLVR", "vanilla"]]
    assert lists(plan, tmp_path, ALONE) == [["JudgeRLVR"], ["vanilla"]]


@pytest.mark.parametrize("by", [Budget.steps, Budget.hours])
def test_other_budgets_wait_for_the_matched_arm(plan, tmp_path, by):
    plan.arms["vanilla"].by = by
    assert lists(plan, tmp_path) == [["JudgeRLVR"], ["vanilla"]]


@pytest.mark.parametrize("rule", ["generated_tokens=5", "hours=1"])
def test_an_arm_that_may_end_early_is_waited_for(plan, tmp_path, rule):
    plan.arms["JudgeRLVR"].overrides = [f"generate.stop.{rule}"]
    assert lists(plan, tmp_path) == [["JudgeRLVR"], ["vanilla"]]


def test_an_arm_with_stages_of_its_own_before_waits(plan, tmp_path):
    vanilla = plan.arms["vanilla"]
    vanilla.stages = [StagePlan(Kind.judge, "first"), *vanilla.stages]
    assert lists(plan, tmp_path) == [["JudgeRLVR"], ["vanilla"]]


def test_both_ways_give_the_matched_arm_the_same_words(plan, tmp_path):
    """The words decide the weights, so that both ways end in the same weights."""
    arms = ArmsOfSeed(plan, tmp_path / "out", None, call=None, room=ROOMY)
    arms._spent = lambda stages: Spent(22, 1000, 1.0) if stages else Spent()
    assert arms._budget(plan.arms["vanilla"], beside=True) == arms._budget(plan.arms["vanilla"], beside=False)


@pytest.mark.parametrize(("free", "wide"), [(19.9, False), (20.1, True)])
def test_too_little_memory_is_said(monkeypatch, capsys, free, wide):
    monkeypatch.setattr(room.psutil, "virtual_memory", lambda: type("Memory", (), {"available": free * 2**30}))
    monkeypatch.setattr(room.os, "cpu_count", lambda: 2)
    assert room.room_here("cpu", None) == Room(2, wide)
    assert ("one stage at a time" in capsys.readouterr().out) is not wide


@pytest.mark.parametrize(
    ("device", "address", "cores"), [("gpu", None, 8), ("cpu", "10.0.0.1:6379", 8), ("cpu", None, 1)]
)
def test_nothing_is_side_by_side_elsewhere(monkeypatch, device, address, cores):
    monkeypatch.setattr(room.os, "cpu_count", lambda: cores)
    assert room.room_here(device, address) == ALONE


def test_together_runs_at_once():
    meeting = threading.Barrier(2, timeout=5)
    together([meeting.wait, meeting.wait], 2)


def test_a_failure_ends_the_other_process(monkeypatch):
    monkeypatch.setattr(commands, "forking_python", lambda: None)

    def fail():
        while not commands._at_work:
            time.sleep(0.01)
        raise CommandFailed("stopped")

    # The command itself is unknown to Python, so a stand-in waits in its place.
    monkeypatch.setattr(commands, "_words", lambda module, arguments: ["-c", "import time; time.sleep(60)"])
    began = time.monotonic()
    with pytest.raises(CommandFailed):
        together([partial(call, "waits", apart=True), fail], 2)
    assert time.monotonic() - began < 30


def test_labelled_lines(monkeypatch, capfd):
    monkeypatch.setattr(commands, "forking_python", lambda: None)
    monkeypatch.setattr(commands, "_words", lambda module, arguments: ["-c", "print('one'); print('two')"])
    call("speaks", label="arm")
    assert capfd.readouterr().out.endswith("     arm | one\n     arm | two\n")
