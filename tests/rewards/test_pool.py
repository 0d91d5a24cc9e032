"""The pool under fire: hangs, kills, threads, coroutines, forks, and what is left of it afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rewards.canary import canary
from rewards.errors import InputError
from rewards.grading.dispatcher import PoolLimits, PoolLost, VerifierError
from rewards.grading.fork_server_client import process_clock
from rewards.grading.pool import GraderPool
from rewards.types import Problem, Reason

ODD_VERIFIER = """
    import os, time
    from rewards.types import Reason, Result

    def verify(problem, answer):
        if answer == "hang":
            time.sleep(600)
        if answer == "spin":
            while True:
                pow(3, 10**6)
        if answer == "crash":
            os._exit(9)
        if answer == "bug":
            raise KeyError("a bug in the verifier")
        if answer == "hoard":
            bytearray(1 << 40)
        return Result(float(answer == problem.gold), Reason.CORRECT if answer == problem.gold else Reason.WRONG)
"""
SHORT = PoolLimits(inner_seconds=0.4, outer_seconds=1.0)


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """The import path of a verifier that misbehaves on request."""
    (tmp_path / "odd_verifier.py").write_text(textwrap.dedent(ODD_VERIFIER))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "odd_verifier:verify"
    sys.modules.pop("odd_verifier", None)


@pytest.fixture(scope="module")
def shared():
    """One pool of the default verifier for the tests that leave it whole (its start costs seconds)."""
    with GraderPool(workers=2) as pool:
        yield pool


def boxed(gold: str, answer: str | None = None) -> tuple[Problem, str]:
    return Problem("p", "", gold), f"\\boxed{{{gold if answer is None else answer}}}"


def quadratic(index: int) -> tuple[Problem, str]:
    """A pair that needs a worker and is right: a nested root, which only values of high precision decide."""
    first, second = index + 2, index + 3
    gold = f"\\sqrt{{{first}}}+\\sqrt{{{second}}}"
    return Problem(str(index), "", gold), f"\\boxed{{\\sqrt{{{first + second}+2\\sqrt{{{first * second}}}}}}}"


def live(pids: list[int]) -> list[int]:
    """Those that still run; a zombie does not."""
    running = []
    for pid in pids:
        # A process may end between the opening of its file and the reading.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                running.append(pid)
    return running


def direct_children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for task in tasks for word in task.read_text().split()]


def children(pid: int) -> list[int]:
    """All descendants of a process."""
    return [below for child in direct_children(pid) for below in (child, *children(child))]


def nurseries() -> list[int]:
    direct = direct_children(os.getpid())
    return [pid for pid in direct if "rewards.grading.fork_server" in Path(f"/proc/{pid}/cmdline").read_text()]


def wait_until(condition, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(condition())


@pytest.mark.parametrize("evil", ["hang", "spin", "crash"])
def test_a_sample_that_never_returns_gets_timeout_and_no_other_is_touched(odd, evil):
    with GraderPool(odd, workers=1, limits=SHORT) as pool:
        pairs = [boxed(str(n)) for n in range(10)]
        reasons = [result.reason for result in pool.grade_many([*pairs[:5], boxed("7", evil), *pairs[5:]])]
    assert reasons == [Reason.CORRECT] * 5 + [Reason.TIMEOUT] + [Reason.CORRECT] * 5


def test_memory_hoarding_is_refused(odd):
    with GraderPool(odd, workers=1, limits=SHORT) as pool:
        assert pool.grade(*boxed("7", "hoard")).reason is Reason.TOO_COMPLEX


def test_a_bug_in_a_verifier_is_raised_and_not_scored(odd):
    with (
        GraderPool(odd, workers=1, limits=SHORT) as pool,
        pytest.raises(VerifierError, match="a bug in the verifier"),
    ):
        pool.grade(*boxed("7", "bug"))


def test_the_pool_grades_on_after_a_verifier_raised(odd):
    with GraderPool(odd, workers=1, limits=SHORT) as pool:
        futures = [pool.submit(*boxed("7", answer)) for answer in ("bug", "7", "bug", "7")]
        assert [future.result().reason for future in (futures[1], futures[3])] == [Reason.CORRECT] * 2


@pytest.mark.parametrize("path", ["rewards.math", "no_such_module:verify", "rewards.math:nothing", ":", ""])
def test_a_verifier_that_cannot_be_imported_is_an_input_error(path):
    with pytest.raises(InputError):
        GraderPool(path)


def test_closing_with_samples_waiting_raises_instead_of_hanging(odd):
    pool = GraderPool(odd, workers=1)
    future = pool.submit(*boxed("7", "hang"))
    pool.start()
    pool.close()
    with pytest.raises(PoolLost):
        future.result(timeout=30)


def test_a_closed_pool_refuses_work(odd):
    pool = GraderPool(odd, workers=1)
    pool.close()
    with pytest.raises(PoolLost):
        pool.submit(*boxed("7"))


def test_threads_share_a_pool(shared):
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda index: shared.grade(*quadratic(index)), range(20)))
    assert [result.reason for result in results] == [Reason.CORRECT] * 20


def test_coroutines_share_a_pool_outside_the_main_thread(shared):
    async def grade_all():
        return await asyncio.gather(*(shared.grade_async(*quadratic(index)) for index in range(20, 40)))

    results = []
    thread = threading.Thread(target=lambda: results.extend(asyncio.run(grade_all())))
    thread.start()
    thread.join()
    assert [result.reason for result in results] == [Reason.CORRECT] * 20


def test_a_cancelled_coroutine_does_not_take_the_shared_result_with_it(shared):
    async def cancel_one():
        first, second = (asyncio.ensure_future(shared.grade_async(*quadratic(41))) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(cancel_one()).reason is Reason.CORRECT


def test_equal_answers_of_a_group_are_verified_once(shared):
    assert len({id(shared.submit(*quadratic(42))) for _ in range(8)}) == 1


def test_a_process_clock_sees_a_running_process_and_a_dead_one():
    with subprocess.Popen(["true"]) as ended:
        pass
    clock = process_clock(os.getpid())
    assert clock is not None and clock.runnable and clock.seconds > 0
    assert process_clock(ended.pid) is None


def test_numbers_never_start_a_process():
    with GraderPool(workers=2) as pool:
        before = set(children(os.getpid()))
        pool.grade_many([boxed("7"), boxed("7", "8"), boxed("\\frac{1}{2}", "0.5"), boxed("50\\%")])
        assert set(children(os.getpid())) == before


def test_canary_is_silent_while_the_reward_works(shared):
    golds = ["7", "\\frac{\\sqrt{3}}{2}", "\\text{Evelyn}", "\\sum_{k=1}^{n} k", "(0,1]", None]
    assert canary(shared, [Problem(str(number), "", gold) for number, gold in enumerate(golds)]) == []


def test_canary_names_the_gold_that_fails(odd):
    with GraderPool(odd, workers=1, limits=SHORT) as pool:
        assert canary(pool, [Problem("good", "", "7"), Problem("bad", "", "crash")])[0].startswith("problem bad")


def _strike(rng: random.Random, act: signal.Signals) -> bool:
    """Send a signal to a random worker of this process that lives. False where none lives."""
    workers = live([worker for nursery in nurseries() for worker in direct_children(nursery)])
    # A worker may end between the look and the signal.
    with contextlib.suppress(ProcessLookupError):
        if workers:
            os.kill(rng.choice(workers), act)
            return True
    return False


def _kill_workers(stop: threading.Event, seed: int, pause: float) -> int:
    """Kill a random worker of this process now and then; returns how many."""
    rng, killed = random.Random(seed), 0
    while not stop.wait(pause):
        killed += _strike(rng, signal.SIGKILL)
    return killed


@pytest.mark.parametrize("count", [600, pytest.param(5000, marks=pytest.mark.slow)])
def test_killing_workers_at_random_loses_no_result(odd, count):
    stop = threading.Event()
    with GraderPool(odd, workers=2) as pool, ThreadPoolExecutor(1) as killer:
        pool.start()
        kills = killer.submit(_kill_workers, stop, 7, 0.02)
        pairs = [boxed(str(n)) for n in range(50)]
        results = []
        while len(results) < count:
            results += pool.grade_many(pairs)
            time.sleep(0.01)
        stop.set()
        assert kills.result() > 0
    assert {result.reason for result in results} == {Reason.CORRECT}


def test_killing_the_nursery_loses_no_result():
    with GraderPool(workers=2) as pool:
        pool.start()
        futures = [pool.submit(*quadratic(index)) for index in range(20)]
        for nursery in nurseries():
            os.kill(nursery, signal.SIGKILL)
        assert {future.result(timeout=300).reason for future in futures} == {Reason.CORRECT}


PARENT = """
    import sys, time
    from rewards.grading.pool import GraderPool
    from rewards.types import Problem
    pool = GraderPool({verifier!r}, workers=2)
    pool.start()
    hung = [pool.submit(Problem("p", "", "7"), "\\\\boxed{{spin}}") for _ in range({hung})]
    time.sleep(1)
    print("ready", flush=True)
    {then}
"""


@pytest.mark.parametrize("how", ["kill -9", "exit"])
@pytest.mark.parametrize("hung", [0, 2])
def test_no_process_outlives_the_parent(odd, tmp_path, how, hung):
    then = "time.sleep(600)" if how == "kill -9" else "sys.exit(0)"
    script = textwrap.dedent(PARENT).format(verifier=odd, hung=hung, then=then)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=env) as parent:
        pids = []
        try:
            assert parent.stdout is not None and parent.stdout.readline() == b"ready\n"
            pids = children(parent.pid)
        finally:
            if how == "kill -9":
                parent.kill()
    assert wait_until(lambda: not live(pids)), f"still running: {live(pids)}"


def test_a_forked_child_may_not_use_its_parents_pool(shared):
    pid = os.fork()
    if pid == 0:
        try:
            shared.submit(*quadratic(1))
        except RuntimeError:
            os._exit(42)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42


def test_workers_that_all_die_stop_the_run_instead_of_scoring_zero(odd):
    with GraderPool(odd, workers=1, limits=SHORT) as pool, pytest.raises(InputError, match=odd):
        pool.grade_many([boxed(str(n), "crash") for n in range(40)])


@pytest.mark.parametrize("evil", ["hang", "bug"])
def test_samples_behind_a_killer_are_not_blamed_for_it(odd, evil):
    with GraderPool(odd, workers=1, limits=PoolLimits(inner_seconds=0.2, outer_seconds=0.4)) as pool:
        evils = [pool.submit(*boxed("7", evil)) for _ in range(5)]
        assert pool.grade(*boxed("7")).reason is Reason.CORRECT
        assert all(future.done() for future in evils)


SLOW_VERIFIER = """
    import os, signal, time
    from rewards.types import Reason, Result

    def verify(problem, answer):
        if answer == "killer":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        return Result(float(answer == problem.gold), Reason.CORRECT if answer == problem.gold else Reason.WRONG)
"""


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """The import path of a verifier that takes its time, so that a stranger often kills a worker at work."""
    (tmp_path / "slow_verifier.py").write_text(textwrap.dedent(SLOW_VERIFIER))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "slow_verifier:verify"
    sys.modules.pop("slow_verifier", None)


def _reached(rng: random.Random, act: signal.Signals) -> bool:
    """Strike once. A worker takes milliseconds to follow a dead one."""
    end = time.monotonic() + 10
    while not (struck := _strike(rng, act)) and time.monotonic() < end:
        time.sleep(0.001)
    return struck


def _harass(stop: threading.Event, kills: int, stops: int, seconds: float) -> tuple[int, int, float]:
    """Kill and stop workers that live, evenly over ``seconds``; how many of each were reached, and the seconds."""
    rng, done, begun = random.Random(11), {signal.SIGKILL: 0, signal.SIGSTOP: 0}, time.monotonic()
    acts = [signal.SIGKILL] * kills + [signal.SIGSTOP] * stops
    rng.shuffle(acts)
    for number, act in enumerate(acts):
        due = begun + number * seconds / len(acts)
        if stop.wait(max(0.0, due - time.monotonic())):
            break
        done[act] += _reached(rng, act)
    return done[signal.SIGKILL], done[signal.SIGSTOP], time.monotonic() - begun


@pytest.mark.parametrize(
    ("kills", "stops", "seconds"), [(100, 5, 6.0), pytest.param(1000, 50, 60.0, marks=pytest.mark.slow)]
)
def test_innocents_survive_killed_and_stopped_workers(slow, kills, stops, seconds):
    with GraderPool(slow, workers=2) as pool, ThreadPoolExecutor(1) as stranger:
        pool.start()
        stop = threading.Event()
        harassed = stranger.submit(_harass, stop, kills, stops, seconds)
        results = []
        while not harassed.done() or len(results) < 400:
            results += pool.grade_many([boxed(str(index)) for index in range(40)])
        stop.set()
        killed, stopped, took = harassed.result()
        lost = sum(result.reason is not Reason.CORRECT for result in results)
    print(f"{killed} workers killed and {stopped} stopped in {took:.1f} s, {lost} of {len(results)} innocents lost")
    assert (lost, killed, stopped) == (0, kills, stops)


def test_an_answer_that_kills_its_worker_is_given_up_and_takes_nobody_along(slow):
    with GraderPool(slow, workers=2) as pool:
        pairs = [boxed(str(index)) for index in range(60)]
        pairs.insert(20, boxed("1", "killer"))
        results = pool.grade_many(pairs)
    assert [index for index, result in enumerate(results) if not result.score] == [20]
    assert results[20].reason is Reason.TIMEOUT
