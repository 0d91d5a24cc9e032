"""Sample responses side by side, and the last training rollouts. Model output is escaped like everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from judgerlvr.evaluation.records import Record
from judgerlvr.reporting.arms import Arm
from judgerlvr.reporting.html import NOT_RUN, Markup, text
from judgerlvr.reporting.runs import Run

PROBLEMS = 6
LONGEST = 4000  # characters shown of one text; what is cut is said
TRAINING_ROWS = 4


def side_by_side(arms: Sequence[Arm], kind: str) -> Markup:
    """The first prompts that every arm has answered (not picked by outcome), one column an arm."""
    answered = {arm.name: _first_samples(arm, kind) for arm in arms}
    answered = {name: samples for name, samples in answered.items() if samples}
    if not answered:
        return Markup("")
    shared = [key for key in next(iter(answered.values())) if all(key in samples for samples in answered.values())]
    blocks = [_block({name: samples[key] for name, samples in answered.items()}) for key in shared[:PROBLEMS]]
    return Markup("".join(blocks))


def _first_samples(arm: Arm, kind: str) -> dict[tuple[str, str], Record]:
    """Sample 0 of each prompt at the training temperature, in order."""
    return {
        (record.set, record.id): record
        for record in arm.measured.samples
        if record.kind == kind and record.sample == 0 and record.decoding != "greedy"
    }


def _block(records: Mapping[str, Record]) -> Markup:
    first = next(iter(records.values()))
    wanted = (
        f"gold {first.gold}" if first.label is None else f"the shown solution is {'right' if first.label else 'wrong'}"
    )
    columns = "".join(f"<div><h4>{text(name)} {_badge(r)}</h4>{_pre(r.response)}</div>" for name, r in records.items())
    head = f"<summary>{text(first.id)} ({text(wanted)})</summary>{_pre(first.prompt)}"
    return Markup(f"<details open>{head}<div class='columns'>{columns}</div></details>")


def _badge(record: Record) -> Markup:
    length = NOT_RUN if record.tokens is None else f"{record.tokens} tokens"
    kind = "right" if record.score == 1.0 else "wrong"
    return Markup(f"<span class='{kind}'>{text(record.reason)}</span> <small>{text(length)}</small>")


def _pre(value: str) -> Markup:
    cut = f"\n... {len(value) - LONGEST} more characters" if len(value) > LONGEST else ""
    return Markup(f"<pre>{text(value[:LONGEST] + cut)}</pre>")


def training_rollouts(runs: Sequence[Run]) -> Markup:
    """Rollouts of the last logged steps of each run, with the score they were trained on."""
    return Markup("".join(_training_block(run) for run in runs if run.rollouts))


def _training_block(run: Run) -> str:
    rows = "".join(_training_row(row) for row in run.rollouts[-TRAINING_ROWS:])
    head = f"<summary>{text(run.name)}: last training rollouts</summary>"
    return f"<details>{head}<div class='columns'>{rows}</div></details>"


def _training_row(row: Mapping[str, Any]) -> str:
    facts = [f"{key} {row[key]}" for key in ("step", "id", "sample", "score", "reason", "tokens") if key in row]
    return f"<div><h4>{text(', '.join(facts))}</h4>{_pre(str(row.get('response', '')))}</div>"
