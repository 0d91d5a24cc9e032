"""A share of the samples graded again by another method; slow and disputed ones written down."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from rewards.auditing.second_grader import second_opinion
from rewards.extraction.extract import Mode, final_answer
from rewards.extraction.gold import gold_answers
from rewards.types import Problem, Reason, Result

# Refusals by policy say nothing about equality, so the second grader has no opinion on them.
_ABOUT_EQUALITY = (Reason.CORRECT, Reason.WRONG)
_KEPT_CHARACTERS = 4000


@dataclass(frozen=True)
class Audit:
    """Grades ``share`` of the samples twice.

    What took ``slow_seconds`` or is disputed goes to files in ``folder`` (None: only the numbers are kept).
    ``mode`` and ``thinking_open`` have the meaning that they have in the pool.
    """

    share: float = 0.01
    slow_seconds: float = 1.0
    folder: Path | None = None
    mode: Mode = "strict"
    thinking_open: bool = False

    def check(self, problem: Problem, completion: str, result: Result) -> dict[str, float]:
        """Parts ``audited`` and ``disagrees`` (0 or 1) of this sample; appends to the dump files.

        Which samples are taken depends on their content alone, so that two runs audit the same ones.
        """
        slow, taken = result.seconds >= self.slow_seconds, self._takes(problem, completion, result)
        opinion, disagrees = None, False
        if slow or taken:
            answer = final_answer(
                completion, mode=self.mode, thinking_open=self.thinking_open, problem_text=problem.text
            ).answer
            if taken and answer is not None:
                opinion = _opinion(problem.gold or "", answer)
            disagrees = opinion is not None and opinion != bool(result.score)
            for name in [name for name, wanted in (("slow", slow), ("disagreements", disagrees)) if wanted]:
                self._dump(name, problem, completion, answer, result, opinion)
        return {"audited": float(opinion is not None), "disagrees": float(disagrees)}

    def _takes(self, problem: Problem, completion: str, result: Result) -> bool:
        if problem.gold is None or result.reason not in _ABOUT_EQUALITY:
            return False
        # The checksum is spread evenly over 32 bits, and Python's own hash differs by process.
        return zlib.crc32(f"{problem.id}\0{completion}".encode(errors="surrogatepass")) < self.share * 2**32

    def _dump(
        self, name: str, problem: Problem, completion: str, answer: str | None, result: Result, second: bool | None
    ) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        row = {
            "id": problem.id,
            "gold": problem.gold,
            "answer": answer and answer[:_KEPT_CHARACTERS],
            # The answer stands at the end.
            "completion": completion[-_KEPT_CHARACTERS:],
            "score": result.score,
            "reason": str(result.reason),
            "seconds": result.seconds,
            "second": second,
        }
        # One file a process: several reward actors write to the same folder.
        with (self.folder / f"{name}-{os.getpid()}.jsonl").open("a", encoding="utf-8") as dump:
            dump.write(json.dumps(row) + "\n")


def _opinion(gold: str, answer: str) -> bool | None:
    """The second grader's opinion; with several golds, whether any of them is the answer."""
    opinions = [second_opinion(gold=one, answer=answer) for one in gold_answers(gold)]
    # An unread gold may be the gold that matches, so a denial would not be safe.
    return True if True in opinions else None if None in opinions else False
