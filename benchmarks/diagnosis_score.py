"""Whether a win can be foretold, on the committed cases: log loss of each family from the cases of the other families.

    python -m benchmarks.diagnosis_score

The question is coarser than win, tie or loss: whether judge-first won or not. The hull is not asked, since no family
lies in the hull of the others. ``judgerlvr.diagnose`` takes nothing from here.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judgerlvr.diagnosis.cases import Case, read_cases
from judgerlvr.diagnosis.prediction import outside, weight
from judgerlvr.diagnosis.scoring import Losses, Score, over_families, why_not_scored

HEAD = ("case", "won", "chance of a win", "constant answer", "log loss less the constant's", "units to the hull")


@dataclass(frozen=True)
class Foretold:
    """One case from the cases of the other families. ``away`` is the distance to their hull, in units."""

    case: Case
    chance: float
    constant: float
    away: float

    @property
    def losses(self) -> Losses:
        return Losses(self.case.family, *(log_loss(bool(self.case.won), p) for p in (self.chance, self.constant)))


def log_loss(won: bool, chance: float) -> float:
    """Nats for the chance of a win."""
    return -math.log(chance if won else 1 - chance)


def constant_chance(cases: Sequence[Case]) -> float:
    """Smoothed share of wins, with one win and one other case more."""
    return (sum(bool(case.won) for case in cases) + 1) / (len(cases) + 2)


def win_chance(values: Mapping[str, float], cases: Sequence[Case]) -> float:
    """The constant chance with the weight of a case at distance 0, and each case with its weight."""
    weights = [weight(values, case) for case in cases]
    won = sum(one for one, case in zip(weights, cases, strict=True) if case.won)
    return (constant_chance(cases) + won) / (1 + sum(weights))


def answered(cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.won is not None]


def foretell(cases: Sequence[Case]) -> list[Foretold]:
    """Each answered case of a family, where another family has answered cases."""
    known = answered(cases)
    pairs = [(case, [other for other in known if other.family != case.family]) for case in known]
    return [
        Foretold(case, win_chance(case.inputs, others), constant_chance(others), outside(case.inputs, others))
        for case, others in pairs
        if others
    ]


def score_wins(cases: Sequence[Case]) -> Score:
    return over_families(len(answered(cases)), [one.losses for one in foretell(cases)])


def table(cases: Sequence[Case]) -> list[str]:
    """Markdown rows, one for each case that is foretold."""
    rows = [HEAD, ("---",) * len(HEAD), *map(_cells, foretell(cases))]
    return ["| " + " | ".join(row) + " |" for row in rows]


def _cells(one: Foretold) -> tuple[str, ...]:
    worse = one.losses.loss - one.losses.constant
    won = "yes" if one.case.won else "no"
    return one.case.name, won, f"{one.chance:.3f}", f"{one.constant:.3f}", f"{worse:+.3f}", f"{one.away:.1f}"


def sentence(cases: Sequence[Case]) -> str:
    found = score_wins(cases)
    away = found.difference
    return (
        f"Over {found.predicted} cases of {found.families} families the log loss is {found.loss:.3f} nats, and "
        f"{found.constant_loss:.3f} for the constant answer: {away.value:+.3f} [{away.low:+.3f}, {away.high:+.3f}]."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    summary = (__doc__ or "").partition("\n")[0]
    argparse.ArgumentParser(prog="python -m benchmarks.diagnosis_score", description=summary).parse_args(arguments)
    cases = read_cases()
    print("\n".join([*table(cases), "", sentence(cases), "", f"Win, tie or loss: {why_not_scored(cases) or 'scored'}"]))


if __name__ == "__main__":
    main()
