"""Arms at equal budgets: JudgeRLVR against vanilla, or the pairs that a plan has matched."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from judgerlvr.evaluation.comparison import Arm as Side
from judgerlvr.evaluation.comparison import Comparison
from judgerlvr.reporting.answer import DECODINGS
from judgerlvr.reporting.arms import JUDGERLVR, VANILLA, Arm, main_arms
from judgerlvr.reporting.changes import compare, differences_of, pairs_of, percent, points, stamp_of
from judgerlvr.reporting.parts import ABSENT, Cell, Note, Table, count, interval
from rewards.wording import counted

# Budgets of generated tokens this close count as equal. The table prints both.
NEAR = 0.1
HEAD = ("arm", "accuracy (share)", "mean tokens", "steps", "generated tokens")
Pair = tuple[Arm, Arm]


@dataclass(frozen=True)
class Rivals:
    """Two parts that are compared, by default without a plan's word on the budget that both have."""

    ours: str = JUDGERLVR
    theirs: str = VANILLA
    by: str = "tokens"

    @property
    def both(self) -> str:
        return "both arms" if self == Rivals() else f"{self.ours} and {self.theirs}"

    def pairs(self, arms: Sequence[Arm]) -> list[Pair]:
        """All pairs of both parts. Runs of a plan are paired within a seed."""
        ours = [arm for arm in arms if arm.part == self.ours]
        return [(a, b) for a in ours for b in arms if b.part == self.theirs and _one_seed(a, b)]


def _one_seed(a: Arm, b: Arm) -> bool:
    return not (a.planned and b.planned) or a.run.folder.absolute().parent == b.run.folder.absolute().parent


def rivals_of(arms: Sequence[Arm]) -> list[Rivals]:
    """The pairs that a plan has matched, else JudgeRLVR and vanilla."""
    planned = [Rivals(arm.planned.match, arm.part, arm.planned.by) for arm in arms if arm.planned and arm.planned.match]
    return list(dict.fromkeys(planned)) or [Rivals()]


def equal_steps(arms: Sequence[Arm], rivals: Rivals = Rivals()) -> Pair | None:
    """The pair of both parts with the most steps, the same in both."""
    pairs = [(a, b) for a, b in rivals.pairs(arms) if a.steps is not None and a.steps == b.steps]
    return max(pairs, key=lambda pair: pair[0].steps or 0, default=None)


def equal_tokens(arms: Sequence[Arm], rivals: Rivals = Rivals()) -> Pair | None:
    """The pair of both parts whose generated tokens are nearest, if they are near."""
    pairs = [pair for pair in rivals.pairs(arms) if _gap(*pair) <= NEAR]
    return min(pairs, key=lambda pair: _gap(*pair), default=None)


def equal_hours(arms: Sequence[Arm], rivals: Rivals = Rivals()) -> Pair | None:
    """The ends of two arms of which a plan has given one the hours of the other."""
    return next(iter(rivals.pairs(main_arms(arms))), None)


def _gap(a: Arm, b: Arm) -> float:
    return abs(a.tokens - b.tokens) / max(a.tokens, b.tokens) if a.tokens and b.tokens else math.inf


def answer_notes(arms: Sequence[Arm]) -> Iterator[Note]:
    """One sentence for each pair and decoding: what is gained at equal tokens or hours, else at equal steps."""
    for rivals in rivals_of(arms):
        found = [(name, pair) for name, pair in matched(arms, rivals) if pair]
        if not found:
            continue
        name, (judged, vanilla) = found[-1]
        told = f"{rivals.ours} against {rivals.theirs} at {name}"
        for decoding, greedy in DECODINGS:
            if compared := compare(judged, vanilla, greedy):
                stamp = stamp_of(judged, vanilla, greedy)
                yield Note(
                    f"{told}, {decoding}: accuracy {points(compared.difference)}, "
                    f"tokens {percent(compared.tokens)}, paired over {counted(compared.problems, 'problem')}."
                    + (f" {stamp}." if stamp else ""),
                    stamp=bool(stamp),
                )


def matched(arms: Sequence[Arm], rivals: Rivals) -> list[tuple[str, Pair | None]]:
    """Each matching of two parts by name, with the pair that has it."""
    found: list[tuple[str, Pair | None]] = [("equal steps", equal_steps(arms, rivals))]
    if rivals.by == "tokens":
        found.append(("equal tokens", equal_tokens(arms, rivals)))
    if rivals.by == "hours":
        found.append(("equal hours", equal_hours(arms, rivals)))
    return found


def condition_stamps(arms: Sequence[Arm]) -> Iterator[Note]:
    """One stamp for each compared pair whose evaluations were not made alike."""
    at_budgets = [pair for rivals in rivals_of(arms) for _, pair in matched(arms, rivals) if pair]
    pairs = [*((b, a) for a, b in pairs_of(arms)), *at_budgets]
    for ours, theirs in {(a.name, b.name): (a, b) for a, b in pairs}.values():
        for decoding, greedy in DECODINGS:
            for found in differences_of(ours, theirs, greedy):
                text = f"DIFFERENT {found.name.upper()}: {found.text}"
                yield Note(f"{ours.name} against {theirs.name}, {decoding}: {text}", stamp=True)


def matched_table(arms: Sequence[Arm]) -> Table:
    """Both arms of each matching and the difference, paired over problems."""
    rows, compared = [], rivals_of(arms)
    for rivals in compared:
        for name, pair in matched(arms, rivals):
            rows += _pair_rows(name, *pair) if pair else [[Cell(rivals.both, name), *[ABSENT] * (len(HEAD) - 1)]]
    note = f"Equal tokens: within {NEAR:.0%}. Differences: sampled rows, paired by problem, with 95 % intervals."
    title = "JudgeRLVR and vanilla" if compared == [Rivals()] else "Matched arms"
    return Table(f"{title} at equal budgets", HEAD, rows, note)


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
