"""Rollouts for the page's browser: graded samples of each arm and training rollouts of each run, packed small.

The texts are one compressed block that the page's script unpacks. Problems are taken in their order and never by
outcome, as many as fit into the block.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from judgerlvr.evaluation.records import Record
from judgerlvr.reporting.arms import Arm
from judgerlvr.reporting.runs import ROLLOUT_STEPS, Run
from judgerlvr.reporting.words import outcome_word, reason_word
from judgerlvr.runs.rollout_log import LoggedRollout

# Bytes of the packed block in the page.
BUDGET = 3_000_000
# Characters of a longer text are left out in its middle.
LONGEST = 6000
# Each further try holds a little less than what would fit if all problems were of one size.
MARGIN = 0.9


@dataclass(frozen=True)
class Entry:
    """One rollout. ``problem`` groups the rollouts of one problem, and ``step`` is None for an evaluation."""

    source: str
    step: int | None
    kind: str
    decoding: str
    problem: str
    sample: int
    reason: str
    outcome: str
    tokens: int | None
    gold: str
    prompt: str
    response: str


def entries_of(arms: Sequence[Arm], runs: Sequence[Run]) -> list[Entry]:
    """Rollouts of evaluations, then of training. The last steps of training come first."""
    several = len({arm.name for arm in arms}) < len(arms)
    found = [
        _evaluated(f"{arm.name} ({arm.run.name})" if several else arm.name, record)
        for arm in arms
        for record in arm.measured.samples
    ]
    return found + [_trained(run, rollout) for run in runs for rollout in reversed(run.rollouts)]


def _evaluated(source: str, record: Record) -> Entry:
    return Entry(
        source=source,
        step=None,
        kind=record.kind,
        decoding="greedy" if record.decoding == "greedy" else "sampled",
        problem=record.problem_id,
        sample=record.sample,
        reason=reason_word(record.reason),
        outcome=outcome_word(record.outcome),
        tokens=record.tokens,
        gold=_wanted(record.label, record.gold),
        prompt=shortened(record.prompt),
        response=shortened(record.response),
    )


def _trained(run: Run, rollout: LoggedRollout) -> Entry:
    outcome = "correct" if rollout.reason == "correct" else "truncated" if rollout.truncated else "wrong"
    return Entry(
        source=f"training of {run.name}",
        step=rollout.step,
        kind=run.stage or "generate",
        decoding="sampled",
        problem=rollout.id,
        sample=rollout.sample,
        reason=reason_word(rollout.reason),
        outcome=outcome_word(outcome),
        tokens=rollout.tokens,
        gold=_wanted(rollout.label, None),
        prompt=shortened(rollout.prompt),
        response=shortened(rollout.response),
    )


def _wanted(label: bool | None, gold: str | None) -> str:
    if label is not None:
        return "the shown solution is right" if label else "the shown solution is wrong"
    return "" if gold is None else f"gold {gold}"


def shortened(text: str) -> str:
    """Beginning and end of a long text, since an answer stands at the end."""
    cut = len(text) - LONGEST
    half = LONGEST // 2
    return text if cut <= 0 else f"{text[:half]}\n[... {cut:,} characters left out ...]\n{text[-half:]}"


READ = (
    f"Read are all samples of evaluations, and what training logged in its last {ROLLOUT_STEPS} logged steps. "
    "The folder rollouts of a run holds all that was logged, which may be a part of the samples."
)


@dataclass(frozen=True)
class Packed:
    """The block in base64, and how many of the problems and rollouts are in it."""

    block: str
    problems: int
    all_problems: int
    rollouts: int
    all_rollouts: int

    @property
    def note(self) -> str:
        if self.problems == self.all_problems:
            return f"All {self.rollouts:,} rollouts that were read are in this page. {READ}"
        problems = f"The first {self.problems:,} of {self.all_problems:,} problems are in this page"
        rollouts = f"{self.rollouts:,} of {self.all_rollouts:,} rollouts"
        return f"{problems}, with {rollouts} that were read. {READ}"


def pack(entries: Sequence[Entry], more: dict[str, Any], budget: int = BUDGET) -> Packed:
    """As many problems as fit into the budget (bytes), and ``more`` for other parts of the page."""
    order = {problem: place for place, problem in enumerate(dict.fromkeys(entry.problem for entry in entries))}
    taken = len(order)
    block, kept = _block(entries, order, taken, more)
    while len(block) > budget and taken:
        taken = min(taken - 1, int(taken * MARGIN * budget / len(block)))
        block, kept = _block(entries, order, taken, more)
    return Packed(block, taken, len(order), kept, len(entries))


def _block(entries: Sequence[Entry], order: dict[str, int], taken: int, more: dict[str, Any]) -> tuple[str, int]:
    kept = [entry for entry in entries if order[entry.problem] < taken]
    prompts = Numbers()
    rows = [[*astuple(entry)[:-2], prompts.of(entry.prompt), entry.response] for entry in kept]
    content = {**more, "prompts": list(prompts.known), "rollouts": rows}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    packed = gzip.compress(text.encode("utf-8", errors="replace"), mtime=0)
    return base64.b64encode(packed).decode("ascii"), len(kept)


class Numbers:
    """A number for each text, the same number for the same text."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def of(self, text: str) -> int:
        return self.known.setdefault(text, len(self.known))
