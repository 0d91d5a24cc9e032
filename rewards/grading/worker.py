"""The loop of one grading process: take a batch, answer each sample as soon as it is done."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType

from rewards.grading import messages as wire
from rewards.types import Problem, Reason, Result, Verifier, check_result

# After the first alarm keep ringing: library code may swallow one.
_ALARM_REPEAT_SECONDS = 0.25
_WARM_UP = (
    ("\\frac{\\sqrt{3}}{2}", "\\frac{1}{2}\\sqrt{3}"),
    ("x^2+2x+1", "(x+1)^2"),
    ("\\{a, b\\}", "\\{b, a\\}"),
)


@dataclass(frozen=True)
class WorkerLimits:
    """Seconds of processor time a sample may take by the worker's own alarm (so that a loaded machine times out
    nobody), and megabytes of memory beyond what the worker starts with."""

    seconds: float = 2.0
    megabytes: int = 2048


class OutOfTime(BaseException):
    """The inner limit. Not an Exception, so that no handler inside a symbolic library swallows it."""


def serve(sock: socket.socket, verifier: Verifier, limits: WorkerLimits) -> None:
    """Grade until the pool closes the socket. Runs in the main thread of its process (signals)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory(limits.megabytes)
    wire.send(sock, os.getpid())
    inbox = wire.Inbox(sock)
    while (batches := inbox.wait()) is not None:
        for batch in batches:
            for number, problem, answer in batch:
                with _reporting(sock, number):
                    result = grade_one(verifier, problem, answer, limits.seconds)
                wire.send(sock, (number, result, time.process_time()))


class _reporting:
    """Send the traceback of whatever leaves the block to the pool, and let it end this worker."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self._sock, self._number = sock, number

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _trace: object) -> None:
        if value is not None:
            wire.send(self._sock, (self._number, "".join(traceback.format_exception(value)), time.process_time()))


def grade_one(verifier: Verifier, problem: Problem, answer: str, seconds: float) -> Result:
    """One verification under the inner limit; errors of the verifier itself propagate and end the worker.

    Raises:
        TypeError: the verifier returned no Result, or one whose score is neither 0 nor 1.
    """
    started = time.perf_counter()
    try:
        with _alarm(seconds):
            result = check_result(verifier(problem, answer))
    except OutOfTime:
        result = Result(0.0, Reason.TIMEOUT, {"answered": 1.0})
    except (MemoryError, RecursionError):
        result = Result(0.0, Reason.TOO_COMPLEX, {"answered": 1.0})
    return replace(result, seconds=time.perf_counter() - started)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(_signum: int, _frame: FrameType | None) -> None:
        raise OutOfTime

    signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds, _ALARM_REPEAT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _limit_memory(megabytes: int) -> None:
    with open("/proc/self/statm") as statm:  # noqa: PTH123 (a kernel file, read once)
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20,) * 2)


def warm_up(verifier: Verifier) -> None:
    """Fill the parser's tables before forking, so that a fresh worker is as fast as an old one."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    if verifier.__module__ == "rewards.math":
        for gold, answer in _WARM_UP:
            grade_one(verifier, Problem("warm-up", "", gold), answer, 30.0)
