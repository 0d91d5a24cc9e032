"""Numbers of the table: one row a model, task and decoding, averages by domain, and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from judgerlvr.evaluation.metrics import accuracy
from judgerlvr.evaluation.records import Record
from judgerlvr.evaluation.summary import summarise
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.samples import CUT

# A row with a larger share of cut responses is marked.
CUT_SHARE = 0.02
Row = dict[str, Any]


def task_row(records: Sequence[Record], decoding: Decoding, answers: bool = True) -> Row:
    """The summary of a row, with the share of cut responses and the accuracy of the uncut responses.

    ``answers`` is False where the grader reads whole responses, which have no answer to vote for.
    """
    uncut = [record for record in records if record.finish_reason != CUT]
    share = (len(records) - len(uncut)) / len(records)
    extra = {"cut_share": share, "marked": share > CUT_SHARE, "uncut_accuracy": _accuracy(uncut) if uncut else None}
    summary = summarise(records, decoding)
    if not answers:
        # Wrong responses without an answer cast no vote, so that a vote would be won by a single right response.
        del summary["maj_at_k"]
    return summary | extra


def _accuracy(records: Sequence[Record]) -> float:
    """The mean score over problems, which weigh the same as in the accuracy of all responses."""
    return accuracy(np.array([record.score for record in records]), [record.problem_id for record in records]).value


def mean_tokens(row: Mapping[str, Any]) -> float | None:
    mean = row.get("tokens", {}).get("all", {}).get("mean")
    return None if mean is None else float(mean["value"])


def averages(rows: Sequence[Row], domains: Mapping[str, str]) -> list[Row]:
    """Means over tasks, each task with the same weight, by model, decoding and domain.

    ``domains`` names every task of the suite. ``of`` counts the tasks of the domain, not run ones included.
    """
    keys = dict.fromkeys((row["model"], row["decoding"]["name"], domains[row["set"]]) for row in rows)
    return [_average(rows, domains, *key) for key in keys]


def _average(rows: Sequence[Row], domains: Mapping[str, str], model: str, decoding: str, domain: str) -> Row:
    chosen = [
        row for row in rows if (row["model"], row["decoding"]["name"], domains[row["set"]]) == (model, decoding, domain)
    ]
    tokens = [value for row in chosen if (value := mean_tokens(row)) is not None]
    return {
        "model": model,
        "decoding": decoding,
        "domain": domain,
        "accuracy": fmean(row["accuracy"]["value"] for row in chosen),
        "tokens": fmean(tokens) if tokens else None,
        "tasks": len(chosen),
        "of": sum(value == domain for value in domains.values()),
    }


def differences(rows: Sequence[Row], base: str) -> list[Row]:
    """Differences to ``base`` in accuracy and mean tokens, for every other model and task."""
    found = {(row["set"], row["decoding"]["name"]): row for row in rows if row["model"] == base}
    return [
        _difference(row, found[key])
        for row in rows
        if row["model"] != base and (key := (row["set"], row["decoding"]["name"])) in found
    ]


def _difference(row: Row, base: Row) -> Row:
    ours, theirs = mean_tokens(row), mean_tokens(base)
    known = ours is not None and theirs is not None
    return {
        "model": row["model"],
        "base": base["model"],
        "set": row["set"],
        "decoding": row["decoding"]["name"],
        "accuracy": row["accuracy"]["value"] - base["accuracy"]["value"],
        "tokens": ours - theirs if known else None,  # type: ignore[operator]
        "tokens_ratio": ours / theirs if known and theirs else None,  # type: ignore[operator]
    }
