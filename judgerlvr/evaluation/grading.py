"""Grading of samples, fresh or stored, in offline evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol

from judgerlvr.evaluation.records import Record
from judgerlvr.evaluation.summary import summarise
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.samples import Sample
from rewards.extraction.extract import Mode, final_answer
from rewards.extraction.thinking import prompt_opens_thinking
from rewards.types import Problem, Result
from rewards.verdict import DEFAULT_WORDS, grade_verdict


class Grader(Protocol):
    """The part of ``rewards.grading.pool.GraderPool`` that grading needs."""

    def grade_many(self, pairs: Sequence[tuple[Problem, str]]) -> list[Result]: ...


def grade_samples(
    samples: Sequence[Sample],
    grader: Grader,
    decoding: Decoding,
    words: Sequence[str] = DEFAULT_WORDS,
    mode: Mode = "strict",
) -> list[Record]:
    """Grade answers by ``grader`` and verdicts by their label, in the order of ``samples``.

    ``words`` are the verdicts for a right and a wrong solution. ``mode`` must be the extraction of ``grader``, and the
    prompts must have its ``thinking_open``. Here ``mode`` only fills the record's ``answer``.
    """
    solving = [sample for sample in samples if sample.item.label is None]
    answers = iter(grader.grade_many([(sample.item.problem, sample.response) for sample in solving]))
    records = []
    for sample in samples:
        label, opened = sample.item.label, prompt_opens_thinking(sample.prompt_text)
        if label is None:
            text = sample.item.problem.text
            found = final_answer(sample.response, mode=mode, thinking_open=opened, problem_text=text)
            records.append(_record(sample, decoding, next(answers), found.answer, None))
        else:
            result = grade_verdict(sample.response, label, words, thinking_open=opened)
            answer = None if result.verdict is None else words[not result.verdict]
            records.append(_record(sample, decoding, result, answer, result.verdict))
    return records


def _record(sample: Sample, decoding: Decoding, result: Result, answer: str | None, verdict: bool | None) -> Record:
    item = sample.item
    return Record(
        set=item.set,
        kind=item.kind,
        decoding=decoding.name,
        id=item.id,
        problem_id=item.problem.id,
        sample=sample.index,
        prompt=sample.prompt_text,
        response=sample.response,
        answer=answer,
        gold=item.problem.gold,
        label=item.label,
        verdict=verdict,
        score=result.score,
        reason=str(result.reason),
        seconds=result.seconds,
        tokens=sample.tokens,
        thinking_tokens=sample.thinking_tokens,
        finish_reason=sample.finish_reason,
        mean_logprob=sample.mean_logprob,
        seed=sample.seed,
    )


def rows_by_set(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Records of each (set, kind), in order of first appearance of the set."""
    order = {key: place for place, key in enumerate(dict.fromkeys((r.set, r.kind) for r in records))}
    # groupby joins neighbours only, so the records of a set must lie together.
    for _, group in groupby(sorted(records, key=lambda r: order[r.set, r.kind]), key=lambda r: (r.set, r.kind)):
        yield list(group)


def summarise_sets(records: Sequence[Record], decoding: Decoding, min_check_tokens: int = 1) -> list[dict[str, Any]]:
    """One row of numbers for each (set, kind)."""
    return [summarise(rows, decoding, min_check_tokens) for rows in rows_by_set(records)]
