"""The page of a transfer: what was trained, both sides, and why nothing is predicted from the difference."""

from __future__ import annotations

from judgerlvr.diagnosis.judge_stage import Trained
from judgerlvr.diagnosis.page import interval_text, signed_text
from judgerlvr.diagnosis.prediction import NO_PREDICTION
from judgerlvr.diagnosis.transfer import Side, Transfer
from judgerlvr.evaluation.documents import Block
from judgerlvr.evaluation.intervals import Estimate
from judgerlvr.evaluation.table import MISSING
from rewards.wording import counted

NOTE = (
    "[low, high]: 95 % over problems. Both columns have the same problems, seeds and judge prompts. No solution of "
    "these problems was judged in training. One stage with one seed: no interval holds a spread over trainings. "
    "Well formed: the solution ended and gave a readable answer."
)


def transfer_page(trained: Trained, found: Transfer, why_no_prediction: str) -> list[Block]:
    heading = "Transfer from judging to solving"
    lines = [*_trained(trained), _measured(found)]
    rows = [["measure", "before", "after"], *_rows(found.before, found.after)]
    gain = f"pass@1 after less before, paired by problem: {signed_text(found.gain)}"
    blocks = [Block(heading=heading), *(Block(line=line) for line in lines), Block(rows=rows), Block(line=gain)]
    return [*blocks, Block(line=f"{NO_PREDICTION} from transfer: {why_no_prediction}"), Block(line=NOTE)]


def _trained(found: Trained) -> list[str]:
    asked = "" if found.steps == found.asked_steps else f" of {found.asked_steps}"
    prompts = f"{counted(found.prompts, 'judge prompt')} of {counted(found.problems, 'problem')}"
    return [
        f"a judge stage was trained by RL: {found.steps}{asked} steps, {counted(found.samples, 'verdict')} sampled, "
        f"{found.tokens} tokens, {found.seconds:.0f} s",
        f"trained on {prompts}; solutions of {found.source}",
    ]


def _measured(found: Transfer) -> str:
    return (
        f"measured on {counted(found.problems, 'problem')}: {counted(found.samples, 'solution')} "
        f"and {counted(found.verdicts, 'verdict')} a side, at temperature 1"
    )


def _rows(before: Side, after: Side) -> list[list[str]]:
    return [
        ["pass@1", *_both(before.pass_at_1, after.pass_at_1)],
        ["natural less no rechecks", *(_signed(side.premium) for side in (before, after))],
        ["judge balanced accuracy", *_both(before.balanced_accuracy, after.balanced_accuracy)],
        ["tokens a solution", *_both(before.tokens, after.tokens, 1)],
        ["tokens a verdict", *_both(before.tokens_a_verdict, after.tokens_a_verdict, 1)],
        ["well-formed solutions", *_both(before.well_formed, after.well_formed)],
        ["truncated solutions", *_both(before.truncated, after.truncated)],
    ]


def _both(before: Estimate | None, after: Estimate | None, digits: int = 3) -> list[str]:
    return [interval_text(value, digits) if value else MISSING for value in (before, after)]


def _signed(value: Estimate | None) -> str:
    return signed_text(value) if value else MISSING
