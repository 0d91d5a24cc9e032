"""The first responses of all arms side by side, readable without the page's script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from judgerlvr.evaluation.records import Record
from judgerlvr.reporting.arms import Arm, main_arms, one_of_each
from judgerlvr.reporting.browser import shortened
from judgerlvr.reporting.evaluations import Kind
from judgerlvr.reporting.parts import Cell, Column, Example
from judgerlvr.reporting.words import reason_word
from rewards.wording import counted

PROBLEMS = 3
Samples = dict[str, Record]


def examples(arms: Sequence[Arm], kind: Kind) -> Iterator[Example]:
    """The first prompts that every arm has answered, not picked by outcome, one column an arm."""
    answered = {arm.name: _first_samples(arm, kind) for arm in one_of_each(main_arms(arms))}
    answered = {name: samples for name, samples in answered.items() if samples}
    shared = [key for key in next(iter(answered.values()), {}) if all(key in samples for samples in answered.values())]
    for key in shared[:PROBLEMS]:
        yield _example({name: samples[key] for name, samples in answered.items()})


def _first_samples(arm: Arm, kind: Kind) -> Samples:
    """Sample 0 of each prompt at the sampling temperature, in order."""
    return {
        record.id: record
        for record in arm.measured.samples
        if record.kind == kind and record.sample == 0 and record.decoding != "greedy"
    }


def _example(records: Samples) -> Example:
    first = next(iter(records.values()))
    wanted = f"gold {first.gold}" if first.label is None else f"solution {'right' if first.label else 'wrong'}"
    columns = [Column(name, _verdict(record), shortened(record.response)) for name, record in records.items()]
    return Example(f"{first.id} ({wanted})", shortened(first.prompt), columns)


def _verdict(record: Record) -> Cell:
    tokens = "" if record.tokens is None else counted(record.tokens, "token")
    return Cell(reason_word(record.reason), tokens, "right" if record.score == 1.0 else "wrong")
