"""JudgeRLVR against vanilla at equal steps and at equal generated tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from judgerlvr.evaluation.comparison import Arm as Side
from judgerlvr.evaluation.comparison import Comparison
from judgerlvr.reporting.answer import DECODINGS
from judgerlvr.reporting.arms import JUDGERLVR, VANILLA, Arm
from judgerlvr.reporting.changes import compare, differences_of, pairs_of, percent, points, stamp_of
from judgerlvr.reporting.parts import ABSENT, Cell, Note, Table, count, interval
from rewards.wording import counted

# Budgets of generated tokens this close count as equal. The table prints both.
NEAR = 0.1
HEAD = ("arm", "accuracy (share)", "mean tokens", "steps", "generated tokens")
MATCHINGS = ("equal steps", "equal tokens")


def equal_steps(arms: Sequence[Arm]) -> tuple[Arm, Arm] | None:
    """The pair of JudgeRLVR and vanilla with the most steps, the same in both."""
    pairs = [(a, b) for a, b in _pairs(arms) if a.steps is not None and a.steps == b.steps]
    return max(pairs, key=lambda pair: pair[0].steps or 0, default=None)


def equal_tokens(arms: Sequence[Arm]) -> tuple[Arm, Arm] | None:
    """The pair of JudgeRLVR and vanilla whose generated tokens are nearest, if they are near."""
    pairs = [pair for pair in _pairs(arms) if _gap(*pair) <= NEAR]
    return min(pairs, key=lambda pair: _gap(*pair), default=None)


def _pairs(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    judged = [arm for arm in arms if arm.part == JUDGERLVR]
    return [(a, b) for a in judged for b in arms if b.part == VANILLA]


def _gap(a: Arm, b: Arm) -> float:
    return abs(a.tokens - b.tokens) / max(a.tokens, b.tokens) if a.tokens and b.tokens else math.inf


def answer_notes(arms: Sequence[Arm]) -> Iterator[Note]:
    """One sentence for each decoding: what JudgeRLVR gains on vanilla at equal tokens, else at equal steps."""
    found = [(name, pair) for name, pair in matched(arms) if pair]
    if found:
        name, (judged, vanilla) = found[-1]
        for decoding, greedy in DECODINGS:
            if compared := compare(judged, vanilla, greedy):
                stamp = stamp_of(judged, vanilla, greedy)
                yield Note(
                    f"JudgeRLVR against vanilla at {name}, {decoding}: accuracy {points(compared.difference)}, "
                    f"tokens {percent(compared.tokens)}, paired over {counted(compared.problems, 'problem')}."
                    + (f" {stamp}." if stamp else ""),
                    stamp=bool(stamp),
                )


def matched(arms: Sequence[Arm]) -> list[tuple[str, tuple[Arm, Arm] | None]]:
    return list(zip(MATCHINGS, (equal_steps(arms), equal_tokens(arms)), strict=True))


def condition_stamps(arms: Sequence[Arm]) -> Iterator[Note]:
    """One stamp for each compared pair whose evaluations were not made alike."""
    pairs = [*((b, a) for a, b in pairs_of(arms)), *(pair for _, pair in matched(arms) if pair)]
    for ours, theirs in {(a.name, b.name): (a, b) for a, b in pairs}.values():
        for decoding, greedy in DECODINGS:
            for found in differences_of(ours, theirs, greedy):
                text = f"DIFFERENT {found.name.upper()}: {found.text}"
                yield Note(f"{ours.name} against {theirs.name}, {decoding}: {text}", stamp=True)


def matched_table(arms: Sequence[Arm]) -> Table:
    """Both arms of each matching and the difference, paired over problems."""
    rows = []
    for name, pair in matched(arms):
        rows += _pair_rows(name, *pair) if pair else [[Cell("both arms", name), *[ABSENT] * (len(HEAD) - 1)]]
    note = f"Equal tokens: within {NEAR:.0%}. Differences: sampled rows, paired by problem, with 95 % intervals."
    return Table("JudgeRLVR and vanilla at equal budgets", HEAD, rows, note)


def _pair_rows(name: str, judged: Arm, vanilla: Arm) -> list[list[Cell]]:
    compared = compare(judged, vanilla, greedy=False)
    values = [None, None] if compared is None else [compared.ours, compared.theirs]
    rows = []
    for arm, side in zip((judged, vanilla), values, strict=True):
        rows.append([Cell(arm.name, name), *_side(side), count(arm.steps), count(arm.tokens)])
    found = stamp_of(judged, vanilla, greedy=False)
    return [
        *rows,
        [Cell("difference", f"{name}, {found}" if found else name), *_difference(compared), Cell(""), Cell("")],
    ]


def _side(side: Side | None) -> list[Cell]:
    return [ABSENT, ABSENT] if side is None else [interval(side.accuracy), interval(side.tokens, 1)]


def _difference(compared: Comparison | None) -> list[Cell]:
    return [ABSENT, ABSENT] if compared is None else [Cell(points(compared.difference)), Cell(percent(compared.tokens))]
