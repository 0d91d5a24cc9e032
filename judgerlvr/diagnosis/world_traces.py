"""Checks inside the traces of the tiny world, the only data whose traces can be read step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from judgerlvr.evaluation.intervals import Estimate
from judgerlvr.evaluation.metrics import cluster_sums, recall_interval
from judgerlvr.evaluation.records import Record
from judgerlvr.sampling.steered import Steering
from judgerlvr.tinyworld.task import VARIABLES, Chain, compute, parse_chain
from judgerlvr.tinyworld.trace_parsing import Line, read_line, read_response
from rewards.extraction.thinking import THINK_CLOSE
from rewards.types import Problem

RECHECK = "wait"  # asks for the last step once more
RECHECKS = (RECHECK, "hmm", "check")  # words that announce a second look


@dataclass(frozen=True)
class TraceReader:
    """The chain of each problem by id, and the ids of the tokens that announce a second look.

    ``line_starts`` are ids of all tokens that begin a line, and ``recheck`` is the one that asks for a step again.
    """

    chains: Mapping[str, Chain]
    banned: tuple[int, ...]
    line_starts: tuple[int, ...] = ()

    @property
    def recheck(self) -> int:
        return self.banned[RECHECKS.index(RECHECK)]

    @property
    def every_step(self) -> Steering:
        """Each step of the thinking part is written once more."""
        return Steering(self.line_starts, lambda text, token: self.recheck if recheck_due(text) else token)


def read_traces(problems: Mapping[str, Problem], tokenizer: Any) -> tuple[TraceReader | None, str | None]:
    """(reader, None), or (None, why the traces of these problems and this tokenizer cannot be read)."""
    chains = {}
    for name, problem in problems.items():
        try:
            chains[name] = parse_chain(problem.text)
        except ValueError:
            return None, "the problems are not of the tiny world, and no other traces can be parsed"
    tokens = {word: tokenizer.encode(f"\n{word}", add_special_tokens=False) for word in RECHECKS}
    if split := [word for word, ids in tokens.items() if len(ids) != 1]:
        return None, f"{split[0]!r} is more than one token of this model, so rechecks cannot be kept out"
    starts = tuple(token for token in range(len(tokenizer)) if tokenizer.decode([token]).startswith("\n"))
    return TraceReader(chains, tuple(ids[0] for ids in tokens.values()), starts), None


def recheck_due(text: str) -> bool:
    """Whether an unfinished response ends with a step of the thinking part that was not asked for again."""
    *before, last = text.split("\n")
    return THINK_CLOSE not in text and read_line(last) is not None and before[-1:] != [RECHECK]


def rechecked_steps(records: Sequence[Record]) -> float:
    """Share of the thinking part's steps behind which a recheck stands, of steps that were not asked for again."""
    places = [
        (index, lines)
        for record in records
        for lines in [record.response.partition(THINK_CLOSE)[0].strip().split("\n")]
        for index in range(len(lines))
        if recheck_due("\n".join(lines[: index + 1]))
    ]
    asked = [lines[index + 1 : index + 2] == [RECHECK] for index, lines in places]
    return sum(asked) / len(asked) if asked else float("nan")


@dataclass(frozen=True)
class Check:
    """A second look at a written value: whether the value is wrong, and whether the look accepts the value."""

    problem: str
    wrong: bool
    accepted: bool


@dataclass(frozen=True)
class CheckMix:
    """Checks of one kind of trace.

    ``wrong`` is the share of wrong values among the checked values. ``false_yes`` is the share of wrong values that are
    accepted, and ``false_no`` the share of right values that are refused.
    """

    checks: int
    a_sample: float
    wrong: Estimate
    false_yes: Estimate
    false_no: Estimate


def mix_of(checks: Sequence[Check], samples: int) -> CheckMix:
    wrong = np.array([check.wrong for check in checks], dtype=np.float64)
    accepted = np.array([check.accepted for check in checks], dtype=np.float64)
    clusters = [check.problem for check in checks]

    def share(part: Any, whole: Any) -> Estimate:
        return recall_interval(cluster_sums(np.stack([part, whole], axis=1), clusters))

    return CheckMix(
        checks=len(checks),
        a_sample=len(checks) / samples if samples else float("nan"),
        wrong=share(wrong, np.ones_like(wrong)),
        false_yes=share(wrong * accepted, wrong),
        false_no=share((1 - wrong) * (1 - accepted), 1 - wrong),
    )


def solving_checks(record: Record, chain: Chain) -> Iterator[Check]:
    """Lines that compute a step again with the same operands. Such a line checks the line before of its variable."""
    written: dict[str, Line] = {}
    for line in read_response(record.response).thinking:
        before = written.get(line.variable)
        if before and (before.left, before.operation, before.right) == (line.left, line.operation, line.right):
            value = compute(line.operation, line.left, line.right, chain.modulus)
            yield Check(record.problem_id, before.result != value, line.result == before.result)
        written[line.variable] = line


def judging_checks(record: Record, chain: Chain, shown: str) -> Iterator[Check]:
    """Marked lines of a verdict's trace. A shown value is wrong where the step before does not lead to the value."""
    # A shown solution has no think tags, so its lines count as thinking.
    results = {VARIABLES[0]: chain.start} | {line.variable: line.result for line in read_response(shown).thinking}
    for line in read_response(record.response).thinking:
        at = VARIABLES.index(line.variable)
        left, right = results.get(VARIABLES[at - 1]), results.get(line.variable)
        if line.mark and 0 < at <= len(chain.steps) and left is not None and right is not None:
            operation, operand = chain.steps[at - 1]
            yield Check(record.problem_id, compute(operation, left, operand, chain.modulus) != right, line.mark == "ok")


def solving_mix(records: Sequence[Record], reader: TraceReader) -> CheckMix:
    return mix_of([c for r in records for c in solving_checks(r, reader.chains[r.problem_id])], len(records))


def judging_mix(records: Sequence[Record], reader: TraceReader, shown: Mapping[str, str]) -> CheckMix:
    checks = [c for r in records for c in judging_checks(r, reader.chains[r.problem_id], shown[r.id])]
    return mix_of(checks, len(records))


def holding_rechecks(records: Sequence[Record]) -> int:
    """Responses that hold a word of ``RECHECKS`` as a line of the thinking part."""
    return sum(any(word in RECHECKS for word in read_response(record.response).words) for record in records)
