"""The tables of a comparison of two evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from judgerlvr.evaluation.documents import Block
from judgerlvr.evaluation.table import MISSING, interval, number

Row = Mapping[str, Any]

NOTE = (
    "Difference: ours minus theirs, paired by problem, problems of equal weight. [low, high]: 95 % over problems, "
    "clustered Wilson for shares and bootstrap for tokens. p: two-sided sign-flip permutation test. "
    "Holm: p corrected over the sets of the table."
)
SHOWN = 20  # flipped problems that are named


def page(ours: str, theirs: str, compared: Sequence[Row], alone: Mapping[str, Sequence[str]]) -> list[Block]:
    """Headings and tables, one table for each kind and decoding."""
    blocks = [Block(heading="Comparison"), Block(line=f"ours: {ours}"), Block(line=f"theirs: {theirs}")]
    blocks += stamp_lines(compared)
    blocks += [Block(line=f"only in {side}: {', '.join(names)}") for side, names in alone.items() if names]
    for kind, greedy in dict.fromkeys((row["kind"], row["greedy"]) for row in compared):
        rows = [row for row in compared if (row["kind"], row["greedy"]) == (kind, greedy)]
        blocks += _family(f"{kind}, {'greedy' if greedy else 'sampled'}", rows)
    return [*blocks, Block(line=NOTE)]


def stamp_lines(compared: Sequence[Row]) -> list[Block]:
    """A line for each condition that differs, so that no table stands without it."""
    return [
        Block(line=f"DIFFERENT {name.upper()}: {row['kind']} {row['set']}: {text}")
        for row in compared
        for name, text in row["different"].items()
    ]


def _family(title: str, rows: Sequence[Row]) -> list[Block]:
    blocks = [Block(heading=f"Accuracy ({title})"), Block(rows=_table([_accuracy(row) for row in rows]))]
    if any(row["both_solved"] for row in rows):
        blocks += [Block(heading=f"Tokens ({title})"), Block(rows=_table([_tokens(row) for row in rows]))]
    curves = [row for row in rows if row["ours"]["curve"] and row["theirs"]["curve"]]
    for row in curves:
        blocks += [Block(heading=f"Accuracy at token caps ({title}): {row['set']}"), Block(rows=_curve(row))]
    flipped = [row for row in rows if row["gained"] or row["lost"]]
    if flipped:
        blocks += [Block(heading=f"Flipped problems ({title})"), Block(rows=_table([_flips(row) for row in flipped]))]
    return blocks


def _table(rows: Sequence[Mapping[str, str]]) -> list[list[str]]:
    return [list(rows[0]), *(list(row.values()) for row in rows)]


def _accuracy(row: Row) -> dict[str, str]:
    left = " and ".join(str(count) for count in row["left_out"])
    return {
        "set": row["set"] + (f" ({', '.join(row['different'])} differ)" if row["different"] else ""),
        "problems": str(row["problems"]),
        "samples": f"{row['ours']['samples']} / {row['theirs']['samples']}",
        "left out": left if any(row["left_out"]) else "0",
        "ours": interval(row["ours"]["accuracy"]),
        "theirs": interval(row["theirs"]["accuracy"]),
        "difference": signed(row["difference"]),
        "p": p_value(row["test"]["p"]),
        "Holm": p_value(row["holm_p"]),
        "gained / lost": f"{len(row['gained'])} / {len(row['lost'])}",
    }


def _tokens(row: Row) -> dict[str, str]:
    both = row["both_solved"]
    return {
        "set": row["set"],
        "ours": interval(row["ours"]["tokens"], 1),
        "theirs": interval(row["theirs"]["tokens"], 1),
        "change": percent(row["tokens"]),
        "cut": f"{row['ours']['cut']} / {row['theirs']['cut']}",
        "area difference": signed(row["area"]),
        "both solve": str(both["problems"]) if both else "0",
        "ours there": interval(both["ours"], 1) if both else MISSING,
        "theirs there": interval(both["theirs"], 1) if both else MISSING,
        "ratio there": interval(both["ratio"]) if both else MISSING,
    }


def _curve(row: Row) -> list[list[str]]:
    one, two = row["ours"]["curve"], row["theirs"]["curve"]
    points = zip(one["caps"], one["accuracy"], two["accuracy"], strict=True)
    lines = [[str(cap), number(a), number(b), f"{a - b:+.3f}"] for cap, a, b in points]
    area = ["area", number(one["area"]), number(two["area"]), f"{one['area'] - two['area']:+.3f}"]
    return [["cap in tokens", "ours", "theirs", "difference"], *lines, area]


def _flips(row: Row) -> dict[str, str]:
    return {"set": row["set"], "gained": _names(row["gained"]), "lost": _names(row["lost"])}


def _names(problems: Sequence[str]) -> str:
    more = len(problems) - SHOWN
    return ", ".join(problems[:SHOWN]) + (f" and {more} more" if more > 0 else "") if problems else MISSING


def signed(estimate: Mapping[str, float], digits: int = 3) -> str:
    """``+value [low, high]`` with signs, or a dash."""
    if number(estimate["value"]) == MISSING:
        return MISSING
    value, low, high = (f"{estimate[key]:+.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def percent(estimate: Mapping[str, float]) -> str:
    scaled = {key: 100 * value for key, value in estimate.items()}
    text = signed(scaled, 1)
    return text if text == MISSING else f"{text} %"


def p_value(p: float) -> str:
    return f"{p:.2g}" if p < 0.001 else number(p)
