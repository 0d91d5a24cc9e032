"""The table of all arms and the table of seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from judgerlvr.reporting.answer import DECODINGS, judging_of, tokens_of
from judgerlvr.reporting.arms import ORDER, Arm, main_arms
from judgerlvr.reporting.evaluations import Result
from judgerlvr.reporting.parts import ABSENT, Cell, Table, count, interval, number
from judgerlvr.sampling.decoding import Decoding
from rewards.wording import counted

HEAD = (
    "arm",
    "accuracy (share)",
    "mean tokens",
    "judging, balanced accuracy (share)",
    "truncated samples",
    "median tokens",
    "entropy (nats a token)",
    "steps",
    "generated tokens",
    "decoding",
    "run",
    "set",
    "problems",
    "judged solutions",
)
NOTE = "In brackets: 95 % interval over problems. Steps and tokens count from the base model, judging included."


def results_table(arms: Sequence[Arm]) -> Table:
    """Each arm sampled and greedy, a row a set. A part that is absent has a row that says so.

    A plan has arms of its own in the place of the usual parts.
    """
    rows = [row for arm in arms for _, greedy in DECODINGS for row in _rows(arm, greedy)]
    present = {arm.name for arm in arms}
    usual = () if any(arm.planned for arm in arms) else ORDER
    rows += [[Cell(part), *[ABSENT] * (len(HEAD) - 1)] for part in usual if part not in present]
    return Table("All evaluated models", HEAD, rows, NOTE)


def _rows(arm: Arm, greedy: bool) -> list[list[Cell]]:
    """The judge numbers stand in the row of the first set."""
    solving, judging = arm.measured.rows("generate", greedy), arm.measured.row("judge", greedy)
    if not solving:
        return [_row(arm, None, judging)] if judging else []
    return [_row(arm, row, judging if place == 0 else None) for place, row in enumerate(solving)]


def _row(arm: Arm, solving: Result | None, judging: Result | None) -> list[Cell]:
    known = solving or judging
    assert known
    return [
        Cell(arm.name, "greedy" if known.decoding.greedy else "sampled"),
        interval(solving.accuracy if solving else None),
        interval(tokens_of(solving) if solving else None, 1),
        interval(judging_of(judging) if judging else None),
        ABSENT if solving is None else Cell(f"{solving.truncated:,} of {solving.samples:,}"),
        number(_median(solving), 0),
        Cell("none") if known.decoding.greedy else number(known.entropy),
        count(arm.steps),
        count(arm.tokens),
        _decoding(known.decoding),
        Cell(arm.run.name),
        Cell(known.set_name),
        count(solving.problems if solving else None),
        count(judging.samples // judging.decoding.n if judging else None),
    ]


def _median(row: Result | None) -> float | None:
    return row.tokens["all"].median if row and "all" in row.tokens else None


def _decoding(decoding: Decoding) -> Cell:
    if decoding.stored:
        return Cell("stored", f"n={decoding.n}")
    return Cell(decoding.name, f"n={decoding.n}, up to {counted(decoding.max_tokens, 'token')}, seed {decoding.seed}")


def seeds_table(arms: Sequence[Arm]) -> Iterator[Table]:
    """Mean over the runs of each part with the lowest and the highest run, where a part was run more than once."""
    rows = []
    for name in dict.fromkeys(arm.name for arm in main_arms(arms)):
        found = [row for arm in arms if arm.name == name and (row := arm.measured.row("generate"))]
        if len(found) > 1:
            lengths = [mean.value for row in found if (mean := tokens_of(row))]
            accuracy = [row.accuracy.value for row in found]
            rows.append([Cell(name), count(len(found)), _range(accuracy, 3), _range(lengths, 1)])
    if rows:
        yield Table("Means over seeds, sampled", ("arm", "runs", "accuracy (share)", "mean tokens"), rows)


def _range(values: Sequence[float], digits: int) -> Cell:
    if not values:
        return ABSENT
    ends = f"{min(values):.{digits}f} to {max(values):.{digits}f}"
    return Cell(f"{sum(values) / len(values):.{digits}f}", ends)
