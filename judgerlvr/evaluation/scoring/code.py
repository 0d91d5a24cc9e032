"""Grading of sampled code by the tests of its problem."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

from judgerlvr.evaluation.scoring.code_tests import CodeTest, program_of, read_tests, same_output
from judgerlvr.evaluation.scoring.limits import Limits
from judgerlvr.evaluation.scoring.sandbox import run_python
from rewards.errors import reading
from rewards.extraction.thinking import solution_part
from rewards.types import Problem, Reason, Result

_FENCED = re.compile(r"```[ \t]*(?:python3?|py)?[ \t]*\r?\n(.*?)```", re.DOTALL | re.IGNORECASE)


def code_of(response: str) -> str | None:
    """The last fenced block of a response, None without one."""
    blocks = _FENCED.findall(response)
    return blocks[-1] if blocks and blocks[-1].strip() else None


def _function(problem: Problem) -> str | None:
    """The name of the function that the tests call, None where the tests run the whole program."""
    with reading("no JSON object", "take the file of the named revision", field="metadata"):
        name: str | None = json.loads(problem.meta["metadata"] or "{}").get("func_name")
        return name


class CodeGrader:
    """Runs the tests of a problem until one fails. ``workers`` samples run side by side."""

    def __init__(
        self, workers: int = 2, thinking_open: bool = False, sandboxed: bool = True, limits: Limits | None = None
    ) -> None:
        self._workers, self._thinking_open, self._sandboxed = workers, thinking_open, sandboxed
        self._limits = limits or Limits()
        self._tests = lru_cache(maxsize=64)(self._read)

    def _read(self, public: str, private: str) -> list[CodeTest]:
        return read_tests({"public_test_cases": public, "private_test_cases": private}, self._sandboxed)

    def grade_many(self, pairs: Sequence[tuple[Problem, str]]) -> list[Result]:
        """Results in the order of the pairs."""
        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(lambda pair: self._grade(*pair), pairs))

    def _grade(self, problem: Problem, completion: str) -> Result:
        started = time.perf_counter()
        response = solution_part(completion, thinking_open=self._thinking_open)
        code = None if response is None else code_of(response)
        result = Result(0.0, Reason.NO_FINAL_ANSWER) if code is None else self._run(problem, code)
        return replace(result, seconds=time.perf_counter() - started)

    def _run(self, problem: Problem, code: str) -> Result:
        function = _function(problem)
        program = program_of(code, function)
        tests = self._tests(problem.meta["public_test_cases"], problem.meta["private_test_cases"])
        for test in tests:
            done = run_python(program, test.given.encode(), self._limits, self._sandboxed)
            if done.failure is not None:
                return Result(0.0, done.failure)
            if not same_output(done.output.decode("utf-8", "replace"), test.expected, function):
                return Result(0.0, Reason.WRONG)
        return Result(1.0, Reason.CORRECT, {"tests": float(len(tests))})
