"""Grading in killable worker processes, for callers in threads, coroutines and Ray actors alike."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from time import perf_counter
from types import TracebackType

from rewards.extraction.extract import Extraction, Mode, final_answer
from rewards.extraction.thinking import THINK_CLOSE, solution_part, without_end_marks
from rewards.grading.dispatcher import Dispatcher, Job, PoolLimits
from rewards.grading.grade import no_answer
from rewards.types import Problem, Result
from rewards.verifier import DEFAULT_VERIFIER, load_verifier

_CACHE_ENTRIES = 8192


class GraderPool:
    """Extracts answers in the caller's process and verifies them in ``workers`` processes.

    What the verifier can decide exactly and at once (numbers, mostly) never leaves the caller. The processes start
    with the first sample that needs one. A sample that passes the outer limit has its worker killed and gets
    reason ``timeout``; it is not tried again, and no other sample is affected.
    """

    def __init__(
        self,
        verifier: str = DEFAULT_VERIFIER,
        workers: int = 2,
        *,
        mode: Mode = "strict",
        thinking_open: bool = False,
        limits: PoolLimits | None = None,
    ) -> None:
        """Raises InputError when ``verifier`` cannot be imported."""
        self.verifier = verifier
        self.workers = workers
        self._verifier = load_verifier(verifier)
        self._mode: Mode = mode
        self._thinking_open = thinking_open
        self._dispatcher = Dispatcher(verifier, workers, limits or PoolLimits())
        self._finalizer = weakref.finalize(self, self._dispatcher.close)
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._graded: OrderedDict[Hashable, Future[Result]] = OrderedDict()
        self._owner = os.getpid()

    @property
    def reads_answers(self) -> bool:
        """Whether the verifier reads the extracted answer, so that a gold can be graded against itself."""
        return self._verifier.reads == "answer"

    @property
    def needs_gold(self) -> bool:
        """Whether every problem must have a gold answer."""
        return self._verifier.needs_gold

    def completion_of(self, answer: str) -> str:
        """A completion as this pool reads completions, whose final answer is ``answer``."""
        closing = THINK_CLOSE if self._thinking_open else ""
        return f"{closing}\\boxed{{{answer}}}"

    def grade(self, problem: Problem, completion: str) -> Result:
        """Grade one completion; blocks."""
        return self.submit(problem, completion).result()

    def grade_many(self, pairs: Iterable[tuple[Problem, str]]) -> list[Result]:
        """Grade many completions at once, results in the order of ``pairs``; blocks."""
        # A future costs more than many a comparison, so only what waits for a worker gets a future.
        graded = [self._grade_or_send(problem, completion) for problem, completion in pairs]
        return [found if isinstance(found, Result) else found.result() for found in graded]

    async def grade_async(self, problem: Problem, completion: str) -> Result:
        """Grade one completion without blocking the event loop."""
        return await asyncio.wrap_future(self.submit(problem, completion))

    def submit(self, problem: Problem, completion: str) -> Future[Result]:
        """Extract what the verifier reads and hand it on. The future never carries a timeout, the Result does."""
        return _future(self._grade_or_send(problem, completion))

    def _grade_or_send(self, problem: Problem, completion: str) -> Result | Future[Result]:
        """The result where this process can tell, else the future of a worker's result."""
        started = perf_counter()
        extraction = self._extract(problem, completion)
        if extraction.answer is None:
            return replace(no_answer(extraction), seconds=perf_counter() - started)
        return self._verify_or_send(problem, extraction.answer)

    def _extract(self, problem: Problem, completion: str) -> Extraction:
        """What the verifier reads of a completion: the answer, the response, or all."""
        if self._verifier.reads == "completion":
            return Extraction(completion)
        if self._verifier.reads == "response":
            solution = solution_part(completion, thinking_open=self._thinking_open)
            return Extraction(None if solution is None else without_end_marks(solution).lstrip())
        return final_answer(completion, mode=self._mode, thinking_open=self._thinking_open, problem_text=problem.text)

    def submit_answer(self, problem: Problem, answer: str, *, in_worker: bool = False) -> Future[Result]:
        """Verify an extracted answer; ``in_worker`` skips the quick part and the cache (the canary needs that)."""
        return self._send(problem, answer) if in_worker else _future(self._verify_or_send(problem, answer))

    def _check_owner(self) -> None:
        if os.getpid() != self._owner:
            raise RuntimeError("this GraderPool belongs to the process that made it; make one after forking")

    def _verify_or_send(self, problem: Problem, answer: str) -> Result | Future[Result]:
        self._check_owner()
        quick = self._verifier.quick
        if quick is None:
            return self._send(problem, answer)
        started = perf_counter()
        result = quick(problem, answer)
        return self._send_once(problem, answer) if result is None else replace(result, seconds=perf_counter() - started)

    def _send(self, problem: Problem, answer: str) -> Future[Result]:
        self._check_owner()
        return self._dispatcher.submit(Job(next(self._numbers), problem, answer))

    def _send_once(self, problem: Problem, answer: str) -> Future[Result]:
        """Samples that agree in all that the verifier reads (a group often holds several) share one verification."""
        key = self._verifier.key(problem, answer)
        with self._lock:
            future = self._graded.get(key)
            if future is None:
                future = self._graded[key] = self._send(problem, answer)
                if len(self._graded) > _CACHE_ENTRIES:
                    self._graded.popitem(last=False)
        return future

    def start(self) -> None:
        """Start the processes now and wait until one can grade; raises InputError if the verifier fails there."""
        self._dispatcher.start()

    def close(self) -> None:
        """Kill the workers; samples still waiting get a ``CancelledError``."""
        self._finalizer()

    def __enter__(self) -> GraderPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _future(found: Result | Future[Result]) -> Future[Result]:
    if isinstance(found, Future):
        return found
    future: Future[Result] = Future()
    future.set_result(found)
    return future
