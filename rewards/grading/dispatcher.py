"""The pool's own thread: hands jobs to workers, watches the clock, replaces what dies."""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from rewards.errors import CommandFailed, InputError
from rewards.grading import messages as wire
from rewards.grading.crashes import TRIES, CrashBook
from rewards.grading.fork_server_client import Nursery, process_clock
from rewards.types import Problem, Reason, Result

_START_SECONDS = 120.0
_REMEDY = "mend the verifier, which takes (problem, text) and returns a rewards.types.Result"
_STARTS_WITHOUT_PROGRESS = 5
_DEATHS_WITHOUT_PROGRESS = 500
# A working worker is looked at this often: is it stopped?
_LOOK_SECONDS = 0.5
_MOST_PATIENCE = 10  # outer limits that a worker without a processor is waited for


@dataclass(frozen=True)
class PoolLimits:
    """Seconds by the worker's alarm, seconds until it is killed, memory, and samples a message carries at most."""

    inner_seconds: float = 2.0
    outer_seconds: float = 4.0
    megabytes: int = 2048
    batch: int = 16
    # Deaths alone in a fresh worker after which a sample is taken for the killer.
    tries_after_crash: int = TRIES


@dataclass
class Job:
    """One answer on its way to a Result."""

    number: int
    problem: Problem
    answer: str
    future: Future[Result] = field(default_factory=Future)
    suspected: bool = False  # a worker died over this job

    def __post_init__(self) -> None:
        # From here on nobody can cancel it: a coroutine that gives up must not take a shared result with it.
        self.future.set_running_or_notify_cancel()


class VerifierError(InputError):
    """The verifier raised or returned no Result. A bug is not a wrong answer, so it is not scored."""


def verifier_error(path: str, problem_id: str, trace: str) -> VerifierError:
    """The error in one line: the last place of the worker's traceback and its last line."""
    places = re.findall(r'File "([^"]+)", line (\d+)', trace)
    where = f" at {places[-1][0]}:{places[-1][1]}" if places else ""
    said = trace.strip().rpartition("\n")[2]
    return VerifierError(f"{path} fails on problem {problem_id}{where} ({said})", _REMEDY, field="reward.verifier")


def verifier_dies(path: str, how: str) -> InputError:
    """The error of a verifier that ends the processes in which it runs."""
    remedy = "mend the verifier, which must not end its process, or look for want of memory"
    return InputError(f"the grading processes of {path} die: {how}", remedy, field="reward.verifier")


class PoolLost(CommandFailed):
    """The grading processes cannot be kept running, or the pool was closed with samples waiting."""


@dataclass
class _Worker:
    number: int
    sock: socket.socket
    inbox: wire.Inbox
    jobs: deque[Job] = field(default_factory=deque)
    begun: float = 0.0  # wall clock at the start of the current sample
    deadline: float = 0.0
    pid: int = 0
    used: float = 0.0  # its processor seconds at the start of the current sample
    raised: bool = False  # the verifier did, in the sample before
    served: int = 0  # samples answered so far


class Dispatcher:
    """Owns the nursery, the workers and one thread; only that thread touches anything but the queue."""

    def __init__(self, verifier: str, workers: int, limits: PoolLimits) -> None:
        if workers < 1:
            raise InputError(f"workers is {workers}", "use at least one grading worker", field="workers")
        self._verifier, self._size, self._limits = verifier, workers, limits
        self._queue: deque[Job] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._failure: Exception | None = None
        self._settled = threading.Event()  # ready, or failed
        self._workers: dict[int, _Worker] = {}
        self._forked = 0
        self._fruitless_starts = self._fruitless_deaths = 0
        self._suspects: deque[Job] = deque()
        self._crashes = CrashBook(limits.tries_after_crash)
        self._nursery: Nursery | None = None
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._drain_wake)

    def submit(self, job: Job) -> Future[Result]:
        """Queue a job from any thread; raises what stopped the pool if it has stopped."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._closed:
                raise PoolLost("the grading pool is closed")
            self._queue.append(job)
            self._ensure_thread()
        self._wake()
        return job.future

    def start(self) -> None:
        """Start the processes and wait until the verifier is imported there."""
        with self._lock:
            self._ensure_thread()
        if not self._settled.wait(_START_SECONDS):
            raise PoolLost(f"the grading processes of {self._verifier} did not start within {_START_SECONDS:.0f} s")
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop the thread and kill all processes; safe to call twice."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _wake(self) -> None:
        # A full pipe means that a wake-up is waiting anyway; a closed one that the thread has ended.
        with contextlib.suppress(OSError):
            self._wake_write.send(b"!")

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(4096)

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="grader-pool", daemon=True)
            self._thread.start()

    # From here on: the dispatcher's thread.

    def _run(self) -> None:
        try:
            nursery = self._open_nursery()
            while not self._closed and self._failure is None:
                nursery = self._nursery or nursery
                self._staff(nursery)
                self._hand_out()
                for key, _ in self._selector.select(self._until_next_deadline()):
                    handler: Callable[[], None] = key.data
                    handler()
                self._kill_overdue(nursery)
        except OSError as error:
            self._failure = PoolLost(f"the grading processes cannot be started: {error}")
        finally:
            self._shut_down()

    def _open_nursery(self) -> Nursery:
        nursery = self._nursery = Nursery(self._verifier)
        self._selector.register(nursery.control, selectors.EVENT_READ, partial(self._hear_nursery, nursery))
        return nursery

    def _hear_nursery(self, nursery: Nursery) -> None:
        messages = nursery.inbox.read()
        if messages is None:
            self._replace_nursery(nursery)
            return
        for kind, detail in messages:
            if kind == "failed":
                self._failure = InputError(detail, "fix the verifier", field="verifier")
            else:
                nursery.ready = True
                self._settled.set()

    def _replace_nursery(self, nursery: Nursery) -> None:
        """It died, and its workers with it: start another, unless that keeps happening without a single result."""
        for worker in list(self._workers.values()):
            self._bury(worker, blame=False)
        self._selector.unregister(nursery.control)
        nursery.stop()
        self._fruitless_starts += 1
        if self._fruitless_starts > _STARTS_WITHOUT_PROGRESS:
            how = f"{_STARTS_WITHOUT_PROGRESS + 1} of them at their start, the last by {nursery.end}"
            self._failure = verifier_dies(self._verifier, how)
        else:
            self._open_nursery()

    def _staff(self, nursery: Nursery) -> None:
        while nursery.ready and len(self._workers) < self._size:
            self._forked += 1
            try:
                sock = nursery.fork(self._forked, self._limits.inner_seconds, self._limits.megabytes)
            except OSError:
                return  # the nursery's end of stream is about to be read
            worker = self._workers[self._forked] = _Worker(self._forked, sock, wire.Inbox(sock))
            self._selector.register(sock, selectors.EVENT_READ, partial(self._hear_worker, worker))

    def _hand_out(self) -> None:
        for worker in list(self._workers.values()):
            if worker.jobs:
                continue
            if self._suspects:
                self._try_alone(worker)
                continue
            with self._lock:
                share = min(self._limits.batch, -(-len(self._queue) // self._size))
                worker.jobs.extend(self._queue.popleft() for _ in range(share))
            if worker.jobs:
                self._send(worker)

    def _try_alone(self, worker: _Worker) -> None:
        """A suspected sample goes alone to a worker that has graded nothing yet; a used worker is replaced."""
        if worker.served:
            self._bury(worker, blame=False)
            return
        worker.jobs.append(self._suspects.popleft())
        self._send(worker)

    def _start_clock(self, worker: _Worker) -> None:
        worker.begun = monotonic()
        worker.deadline = worker.begun + self._limits.outer_seconds

    def _send(self, worker: _Worker) -> None:
        self._start_clock(worker)
        try:
            wire.send(worker.sock, [(job.number, job.problem, job.answer) for job in worker.jobs])
        except OSError:
            self._bury(worker)

    def _hear_worker(self, worker: _Worker) -> None:
        if worker.number not in self._workers:
            return  # buried by an earlier event of the same round
        messages = worker.inbox.read()
        if messages is None:
            self._bury(worker)
        for message in messages or ():
            if isinstance(message, int):
                worker.pid = message
            else:
                self._take_result(worker, message)

    def _take_result(self, worker: _Worker, message: tuple[int, Any, float]) -> None:
        job = worker.jobs.popleft()
        worker.served += 1
        if job.suspected:
            self._crashes.acquit(job.number)
        worker.used = message[2]
        self._start_clock(worker)
        self._fruitless_starts = self._fruitless_deaths = 0
        if isinstance(message[1], Result):
            job.future.set_result(message[1])
        else:
            worker.raised = True
            job.future.set_exception(verifier_error(self._verifier, job.problem.id, message[1]))

    def _until_next_deadline(self) -> float | None:
        """Seconds to wait for events; 0 where a worker was lost since the pool was last staffed."""
        if self._nursery is not None and self._nursery.ready and len(self._workers) < self._size:
            return 0.0
        deadlines = [worker.deadline for worker in self._workers.values() if worker.jobs]
        return max(0.0, min(min(deadlines) - monotonic(), _LOOK_SECONDS)) if deadlines else None

    def _kill_overdue(self, nursery: Nursery) -> None:
        now = monotonic()
        for worker in list(self._workers.values()):
            if worker.jobs and now - worker.begun > _LOOK_SECONDS / 2 and self._stopped(worker):
                nursery.kill(worker.number)
                self._bury(worker)
            if not worker.jobs or worker.deadline > now:
                continue
            if self._starved(worker, now):
                worker.deadline = now + self._limits.outer_seconds / 8
            else:
                nursery.kill(worker.number)
                self._time_out(worker.jobs.popleft())
                self._bury(worker, blame=False)

    def _stopped(self, worker: _Worker) -> bool:
        """Whether somebody stopped the worker (SIGSTOP), so that it will never answer."""
        clock = process_clock(worker.pid) if worker.pid else None
        return clock is not None and clock.stopped

    def _starved(self, worker: _Worker, now: float) -> bool:
        """Whether the worker is waiting for a processor rather than using one: a busy machine times nobody out."""
        if now - worker.begun > _MOST_PATIENCE * self._limits.outer_seconds:
            return False
        clock = process_clock(worker.pid)
        return clock is not None and clock.runnable and clock.seconds - worker.used < self._limits.outer_seconds / 8

    def _time_out(self, job: Job) -> None:
        job.future.set_result(Result(0.0, Reason.TIMEOUT, {"answered": 1.0}, self._limits.outer_seconds))

    def _bury(self, worker: _Worker, blame: bool = True) -> None:
        """Forget a dead worker and put its samples back at the head of the queue.

        ``blame``: the worker died by itself or by a stranger's hand, perhaps of the first of these samples.
        """
        if self._workers.pop(worker.number, None) is None:
            return
        self._selector.unregister(worker.sock)
        worker.sock.close()
        if blame and not worker.raised:
            self._look_for_the_killer(worker)
        with self._lock:
            self._queue.extendleft(reversed(worker.jobs))
        worker.jobs.clear()

    def _look_for_the_killer(self, worker: _Worker) -> None:
        """Suspect the sample that the dead worker was grading, and give it up if it has died alone too often."""
        if not worker.jobs:
            self._crashes.note(None)
            return
        self._fruitless_deaths += 1
        if self._fruitless_deaths > _DEATHS_WITHOUT_PROGRESS:
            how = f"{_DEATHS_WITHOUT_PROGRESS} workers in a row, without a result"
            self._failure = verifier_dies(self._verifier, how)
        job = worker.jobs.popleft()
        if not job.suspected:
            job.suspected = True
            self._crashes.note(job.number)
        elif self._crashes.convicts(job.number):
            self._time_out(job)
            return
        self._suspects.append(job)

    def _shut_down(self) -> None:
        with self._lock:
            self._failure = self._failure or PoolLost("the grading pool is closed")
            waiting = [
                *self._queue,
                *self._suspects,
                *(job for worker in self._workers.values() for job in worker.jobs),
            ]
        for job in waiting:
            job.future.set_exception(self._failure)
        for worker in self._workers.values():
            worker.sock.close()
        if self._nursery is not None:
            self._nursery.stop()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()
        self._settled.set()
