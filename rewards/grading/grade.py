"""One completion to one Result, in the calling process and without limits: workers and tests call this."""

from __future__ import annotations

import time
from dataclasses import replace

from rewards.extraction.extract import Extraction, Mode, final_answer
from rewards.types import Problem, Reason, Result, Verifier


def no_answer(extraction: Extraction) -> Result:
    """The Result of a completion from which no answer could be taken."""
    return Result(0.0, extraction.reason or Reason.NO_FINAL_ANSWER, {"answered": 0.0})


def grade_here(
    problem: Problem, completion: str, verifier: Verifier, *, mode: Mode = "strict", thinking_open: bool = False
) -> Result:
    """Extract, then verify. For trusted text only: a hostile expression may take for ever (see ``pool``)."""
    started = time.perf_counter()
    extraction = final_answer(completion, mode=mode, thinking_open=thinking_open)
    result = no_answer(extraction) if extraction.answer is None else verifier(problem, extraction.answer)
    return replace(result, seconds=time.perf_counter() - started)
