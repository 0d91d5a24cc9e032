"""The printed table. Every number stands in a row that names its sampling settings and its entropy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rewards.wording import counted

MISSING = "-"
FOOTER = (
    "entropy: mean -log p of the sampled tokens (nats). [low, high]: 95 % over problems, "
    "clustered Wilson for shares and bootstrap for tokens"
)

Row = Mapping[str, Any]


def format_summary(summary: Row) -> str:
    """The evaluated model or file, then scores and lengths of the generate rows and of the judge rows."""
    lines = _header(summary)
    for kind, scores in (("generate", _generate_cells), ("judge", _judge_cells)):
        rows = [row for row in summary["results"] if row["kind"] == kind]
        for title, cells in (("scores", scores), ("lengths", _length_cells)):
            # Stored responses without a tokenizer have no lengths.
            table = [_settings(row) | cells(row) for row in rows if title == "scores" or "tokens" in row]
            if table:
                lines += ["", f"{kind}, {title}:", *align([list(table[0]), *(list(row.values()) for row in table)])]
    return "\n".join([*lines, "", FOOTER])


def _header(summary: Row) -> list[str]:
    model = summary["model"]
    lines = [f"model {model['path']} (sha256 {model['hash'][:12]})"] if model else []
    if summary["context"] is not None:
        lines.append(f"context: {counted(summary['context'], 'token')} for prompt and response")
        lines.append(f"prompt: {summary['settings']['prompt']}")
    lines += [f"data {row['file']}: {row['used']} of {row['rows']} rows" for row in summary["data"]]
    if summary["limit"] is not None:
        lines.append(f"limit: the first {counted(summary['limit'], 'row')} of each file")
    return lines


def _settings(row: Row) -> dict[str, str]:
    return {"set": row["set"], "decoding": describe_decoding(row["decoding"]), "entropy": number(row["entropy"])}


def describe_decoding(decoding: Row) -> str:
    """All sampling settings of a row in one cell."""
    if decoding["stored"]:
        return f"stored n={decoding['n']}"
    return f"{decoding['name']} n={decoding['n']} max={decoding['max_tokens']} seed={decoding['seed']}"


def _generate_cells(row: Row) -> dict[str, str]:
    best, majority = ([number(value["value"]) for value in row[name].values()] for name in ("pass_at_k", "maj_at_k"))
    return {
        "problems": str(row["problems"]),
        "samples": str(row["samples"]),
        "accuracy": interval(row["accuracy"]),
        "pass@n": best[-1] if best else MISSING,
        "maj@n": majority[-1] if majority else MISSING,
        "too long": str(row["prompts_too_long"]),
    }


def _judge_cells(row: Row) -> dict[str, str]:
    judge = row["judge"]
    return {
        "problems": str(row["problems"]),
        "samples": str(row["samples"]),
        "accuracy": interval(row["accuracy"]),
        "balanced": interval(judge["balanced_accuracy"]),
        "precision": number(judge["precision"]["value"]),
        "recall": number(judge["recall"]["value"]),
        "no verdict": str(judge["confusion"]["yes_none"] + judge["confusion"]["no_none"]),
        "checking": number(judge["checking"]["share"]),
        "balanced if checking": interval(judge["checking"]["balanced_accuracy"]),
    }


def _length_cells(row: Row) -> dict[str, str]:
    """Mean tokens with interval and median, means by outcome and part, and the share of cut responses."""
    cells = {"tokens": interval(row["tokens"]["all"]["mean"], 1), "median": f"{row['tokens']['all']['median']:g}"}
    for outcome in ("correct", "wrong", "truncated"):
        cells[outcome] = _mean(row["tokens"][outcome])
    cells |= {"thinking": _mean(row["thinking_tokens"]["all"]), "solution": _mean(row["solution_tokens"]["all"])}
    return cells | {"area": number(row["at_caps"]["area"]), "cut": str(row["truncated"])}


def _mean(length: Row) -> str:
    return MISSING if length["mean"] is None else f"{length['mean']['value']:.1f}"


def number(value: float | None, digits: int = 3) -> str:
    """A number, or a dash if there is none."""
    return MISSING if value is None or math.isnan(value) else f"{value:.{digits}f}"


def interval(estimate: Mapping[str, float | None], digits: int = 3) -> str:
    """``value [low, high]``."""
    value, low, high = (number(estimate[key], digits) for key in ("value", "low", "high"))
    return value if value == MISSING else f"{value} [{low}, {high}]"


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of columns. The first column is aligned to the left, and all other columns to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
