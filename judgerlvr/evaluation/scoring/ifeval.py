"""Grading of IFEval by lm-eval's own checks, prompt-strict, in a process of its own over JSON lines.

The process may use the Python of another environment: ``JUDGERLVR_BENCH_PYTHON`` names it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rewards.errors import InputError, one_line
from rewards.extraction.thinking import solution_part, without_end_marks
from rewards.types import Problem, Reason, Result

PYTHON_VARIABLE = "JUDGERLVR_BENCH_PYTHON"
# Instructions whose check reads nltk's sentence model.
NEED_SENTENCES = ("length_constraints:number_sentences", "change_case:capital_word_frequency")
_REMEDY = "install the lock scripts/locks/bench.txt"
_PROCESS = Path(__file__).with_name("ifeval_process.py").read_text(encoding="utf-8") + "\nmain()\n"


def _python() -> str:
    return os.environ.get(PYTHON_VARIABLE) or sys.executable


def why_unavailable(problems: Iterable[Problem]) -> str | None:
    """Why these problems cannot be scored here, as a line, or None."""
    missing = _missing(_python())
    if "lm_eval" in missing:
        where = "docs/benchmarks.md#instruction-following"
        return f"lm-eval[ifeval] is not installed; run: pip install 'judgerlvr[bench]' ({where})"
    needed = {name for problem in problems for name in problem.meta["instruction_id_list"]} & set(NEED_SENTENCES)
    if needed and "punkt_tab" in missing:
        return "nltk's data 'punkt_tab' is not here; run once with a network: python -m nltk.downloader punkt_tab"
    return None


@cache
def _missing(python: str) -> tuple[str, ...]:
    remedy = f"mend that environment, or name another in {PYTHON_VARIABLE}"
    try:
        done = _run(python, ["--missing"], "")
    except OSError as error:
        raise InputError(f"{python} does not start: {one_line(error)}", remedy) from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"{python} cannot say whether lm-eval is installed: {last.strip()}", remedy)
    names = _parsed(done.stdout)
    if not isinstance(names, list):
        raise InputError(f"{python} prints {_shown(done.stdout)} in place of the list of missing packages", remedy)
    return tuple(names)


def _parsed(text: str) -> Any:
    """The value of a JSON text, or None."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def _shown(text: str) -> str:
    """The first line of what a process printed, in quotes and cut."""
    return repr((text.strip().splitlines() or [""])[0][:80])


def _run(python: str, arguments: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    # A rank other than 0 keeps lm-eval from a download at import.
    environment = {**os.environ, "LOCAL_RANK": "1", "PYTHONPATH": ""}
    command = [python, "-c", _PROCESS, *arguments]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, errors="replace", env=environment, check=False
    )


class InstructionGrader:
    """Grades whole responses: 1 if the response follows every instruction of its prompt."""

    def __init__(self, thinking_open: bool = False) -> None:
        self._thinking_open = thinking_open

    def grade_many(self, pairs: Sequence[tuple[Problem, str]]) -> list[Result]:
        """Results in the order of the pairs.

        Raises:
            InputError: lm-eval failed.
        """
        texts = [self._response(completion) for _, completion in pairs]
        rows = [_row(problem, text) for (problem, _), text in zip(pairs, texts, strict=True) if text]
        followed = iter(_grade(rows))
        return [_result(next(followed)) if text else Result(0.0, Reason.NO_FINAL_ANSWER) for text in texts]

    def _response(self, completion: str) -> str:
        found = solution_part(completion, thinking_open=self._thinking_open)
        return "" if found is None else without_end_marks(found).strip()


def _row(problem: Problem, response: str) -> dict[str, Any]:
    names = ("key", "instruction_id_list", "kwargs")
    return {**{name: problem.meta[name] for name in names}, "prompt": problem.text, "response": response}


def _grade(rows: Sequence[dict[str, Any]]) -> list[list[bool]]:
    """Whether each instruction of each row is followed."""
    if not rows:
        return []
    done = _run(_python(), [], "".join(json.dumps(row) + "\n" for row in rows))
    lines = done.stdout.splitlines()
    if done.returncode != 0 or len(lines) != len(rows):
        last = one_line(RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1]))
        raise InputError(f"lm-eval's IFEval failed ({last})", _REMEDY)
    followed = [_parsed(line) for line in lines]
    if strange := [line for line, value in zip(lines, followed, strict=True) if not isinstance(value, list)]:
        raise InputError(f"lm-eval's IFEval printed {_shown(strange[0])} for a row", _REMEDY)
    return followed


def _result(followed: Sequence[bool]) -> Result:
    parts = {"instructions": sum(followed) / len(followed)} if followed else {}
    return Result(float(all(followed)), Reason.CORRECT if all(followed) else Reason.WRONG, parts)
