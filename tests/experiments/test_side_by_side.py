"""Arms side by side: which arms may be, what a matched arm is told, and what a failure does to the other arm."""

import signal
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.evaluation.outputs import SUMMARY
from judgerlvr.experiments import commands, room
from judgerlvr.experiments.arms_of_seed import ArmsOfSeed
from judgerlvr.experiments.command import policies_of
from judgerlvr.experiments.commands import ALONE, Room, call, together
from judgerlvr.experiments.demo import DEMO_PLAN
from judgerlvr.experiments.plan import Budget, Kind, StagePlan, read_plan
from judgerlvr.experiments.spent import Spent
from judgerlvr.runs.checkpoints import SEAL
from rewards.errors import CommandFailed

ROOMY = Room(2, True)
BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3_moe"
# Prints a line once TERM is ignored.
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"


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


def test_never_more_than_two_arms_train_at_once(plan, tmp_path):
    """A second arm with the same matched arm waits."""
    plan.arms["other"] = replace(plan.arms["vanilla"], stages=[StagePlan(Kind.generate, "other")])
    assert lists(plan, tmp_path) == [["JudgeRLVR", "vanilla"], ["other"]]


class Told:
    """Takes the place of commands. A stage leaves a checkpoint, an evaluation a summary. Vanilla ends as told."""

    def __init__(self, out, vanilla_ends):
        self.out, self.vanilla_ends, self.seen = out, vanilla_ends, []

    def __call__(self, module, *words, **shown):
        words = list(map(str, words))
        name = next((word.removeprefix("name=") for word in words if word.startswith("name=")), None)
        if name:
            if name == "vanilla":
                self.vanilla_ends.wait(20)
            checkpoint = self.out / name / "checkpoints" / "global_step_22"
            checkpoint.mkdir(parents=True)
            (checkpoint / SEAL).write_text('{"generated_tokens": 100}')
            self.seen.append(name)
        elif module == "evaluate":
            folder = Path(words[words.index("--out") + 1])
            folder.mkdir(parents=True)
            (folder / SUMMARY).write_text("{}")
            self.seen.append(str(folder.relative_to(self.out)))
            if len(self.seen) == self.vanilla_ends.after:
                self.vanilla_ends.set()


def whole_run(plan, tmp_path, commands_before_vanilla_ends):
    """The commands of a run in which vanilla ends behind so many commands."""
    ends = threading.Event()
    ends.after = commands_before_vanilla_ends
    told = Told(tmp_path / "out", ends)
    ArmsOfSeed(plan, tmp_path / "out", None, told, ROOMY).run()
    return told.seen


def test_the_chain_is_evaluated_while_vanilla_trains(plan, tmp_path, capsys):
    seen = whole_run(plan, tmp_path, 5)
    assert seen[:5] == ["judge", "generate", "judge/eval/base", "judge/eval/final", "generate/eval/final"]
    assert seen[5:] == ["vanilla", "vanilla/eval/final"]
    assert "evaluated before" not in capsys.readouterr().out


def test_no_evaluation_is_begun_alone_once_vanilla_has_ended(plan, tmp_path):
    """Vanilla ends while the base is evaluated. The rest is left for several evaluations at once."""
    training = {"generate", "vanilla"}
    told = Told(tmp_path / "out", threading.Event())
    told.vanilla_ends.after, told.vanilla_ends.set = 3, training.clear
    ArmsOfSeed(plan, tmp_path / "out", None, told, ROOMY)._take_turn(plan.arms["JudgeRLVR"], training, beside=True)
    assert told.seen == ["judge", "generate", "judge/eval/base"]


def test_problems_of_an_arm_that_still_trains_are_waited_for(plan, tmp_path):
    plan.arms["JudgeRLVR"].stages.pop()
    arms = ArmsOfSeed(plan, tmp_path / "out", None, call=None, room=ROOMY)
    assert arms._ready_with(plan.arms["JudgeRLVR"]) == []


@pytest.fixture
def memory(monkeypatch):
    """Sets the free memory of a machine of two cores, in GiB."""
    monkeypatch.setattr(room.os, "cpu_count", lambda: 2)
    return lambda free: monkeypatch.setattr(
        room.psutil, "virtual_memory", lambda: type("Memory", (), {"available": free * 2**30})
    )


@pytest.mark.parametrize(
    ("free", "expected", "said"),
    [
        (20.1, Room(2, True), []),
        (19.9, Room(2, False), ["one stage at a time"]),
        (9.9, Room(1, False), ["one stage at a time", "one evaluation at a time"]),
    ],
)
def test_too_little_memory_is_said(memory, capsys, free, expected, said):
    memory(free)
    assert room.room_here("cpu", None, [BASE]) == expected
    shown = capsys.readouterr().out
    assert [word for word in ("one stage at a time", "one evaluation at a time") if word in shown] == said


@pytest.mark.parametrize("cores", [2, 3, 64])
def test_two_at_once_whatever_the_cores(memory, monkeypatch, cores):
    memory(1000)
    monkeypatch.setattr(room.os, "cpu_count", lambda: cores)
    assert room.room_here("cpu", None, [BASE]) == Room(2, True)


@pytest.mark.parametrize("mib", [0, 7, 9, 4000])
def test_a_policy_of_a_size_that_was_not_measured_is_alone(memory, tmp_path, capsys, mib):
    memory(1000)
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(mib * 2**20)
    small = mib == 7
    assert room.room_here("cpu", None, [BASE, tmp_path]) == (Room(2, True) if small else ALONE)
    assert ("one command at a time" in capsys.readouterr().out) is not small


def test_shipped_policies_are_small():
    sizes = [sum(path.stat().st_size for path in base.glob("*")) / 2**20 for base in BASE.parent.iterdir()]
    assert room.LARGEST_MIB / 2 < max(sizes) < room.LARGEST_MIB


def test_every_policy_of_a_plan_counts(plan):
    plan.overrides = ["model.path=a"]
    plan.arms["JudgeRLVR"].stages[0].overrides = ["judge.data.sample_from=[/b]"]
    plan.arms["vanilla"].overrides = ["model.path=/c"]
    assert policies_of(plan) == sorted([Path("a").absolute(), Path("/b"), Path("/c")])


@pytest.mark.parametrize(
    ("device", "address", "cores"), [("gpu", None, 8), ("cpu", "10.0.0.1:6379", 8), ("cpu", None, 1)]
)
def test_nothing_is_side_by_side_elsewhere(monkeypatch, device, address, cores):
    monkeypatch.setattr(room.os, "cpu_count", lambda: cores)
    assert room.room_here(device, address, [BASE]) == ALONE


def test_together_runs_at_once():
    meeting = threading.Barrier(2, timeout=5)
    together([meeting.wait, meeting.wait], 2)


def test_a_failure_ends_the_other_process(monkeypatch):
    monkeypatch.setattr(commands, "own_forking_python", lambda: None)

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


@pytest.fixture
def waits(monkeypatch):
    """Every command waits for a minute."""
    monkeypatch.setattr(commands, "own_forking_python", lambda: None)
    monkeypatch.setattr(commands, "_words", lambda module, arguments: ["-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(commands, "PATIENCE", 0.2)


def test_no_stage_of_a_chain_starts_behind_a_failure(waits):
    """A stage of the chain ends well, just behind the failure of the vanilla arm."""
    started = []

    def chain():
        meeting.wait()
        while not commands._failed.is_set():
            time.sleep(0.01)
        call("generate")
        started.append("generate")

    def fail():
        meeting.wait()
        raise CommandFailed("the first failure")

    meeting = threading.Barrier(2, timeout=5)
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="the first failure"):
        together([chain, fail], 2)
    assert not started and time.monotonic() - began < 30
    assert not commands._failed.is_set() and not commands._at_work


class Gone(Exception):
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, Gone, SystemExit])
@pytest.mark.parametrize("code", ["import time; time.sleep(60)", STUBBORN], ids=["plain", "stubborn"])
def test_a_command_ends_with_an_exception_that_passes(waits, monkeypatch, error, code):
    monkeypatch.setattr(commands, "_words", lambda module, arguments: ["-c", code])
    seen = []

    def relay(process, label):
        seen.append(process)
        if code == STUBBORN:
            process.stdout.readline()
        raise error

    monkeypatch.setattr(commands, "_relay", relay)
    with pytest.raises(error):
        call("waits", label="arm")
    assert seen[0].returncode in (-signal.SIGTERM, -signal.SIGKILL)
    assert not commands._at_work


def test_an_interrupted_wait_ends_all_commands(waits, monkeypatch):
    def interrupt(_):
        while len(commands._at_work) < 2:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "as_completed", interrupt)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        together([partial(call, "one", apart=True), partial(call, "two", apart=True)], 2)
    assert time.monotonic() - began < 30 and not commands._at_work


def test_labelled_lines(monkeypatch, capfd):
    monkeypatch.setattr(commands, "own_forking_python", lambda: None)
    monkeypatch.setattr(commands, "_words", lambda module, arguments: ["-c", "print('one'); print('two')"])
    call("speaks", label="arm")
    assert capfd.readouterr().out.endswith("     arm | one\n     arm | two\n")
