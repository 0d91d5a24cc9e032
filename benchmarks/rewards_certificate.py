"""Changes of paid answers by one token that are still paid, each with the row of the policy that covers the change.

``python -m benchmarks.rewards_certificate [--pairs 100] [--seed 16] [--done FILE] [--seconds N] [--out FILE]``.
Without ``--pairs`` all pairs of ``benchmarks.rewards_insertions`` are taken, in an order by the seed. ``--done`` keeps
one line a pair, so that a run that was stopped goes on with the pairs that are left.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.insertion_rules import row_for
from benchmarks.rewards_insertions import Change, Pair, all_pairs, changes, is_paid
from rewards.jsonl import read_jsonl


@dataclass
class Outcome:
    """The number of pairs and of their changes, the paid changes by row, and those that no row covers."""

    pairs: int = 0
    refused: int = 0
    tried: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    uncovered: list[Change] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.pairs += other.pairs
        self.refused += other.refused
        self.tried += other.tried
        self.rows += other.rows
        self.uncovered += other.uncovered


def sample(count: int | None, seed: int) -> list[Pair]:
    """``count`` pairs by a fixed seed, or all of them in the order of that seed."""
    pairs = list(all_pairs())
    return random.Random(seed).sample(pairs, len(pairs) if count is None else count)


def graded_pair(pair: Pair) -> Outcome:
    # A right row that is refused certifies nothing.
    if not is_paid(pair, pair.answer):
        return Outcome(pairs=1, refused=1)
    outcome = Outcome(pairs=1)
    for change in changes(pair):
        outcome.tried += 1
        if change.paid():
            row = row_for(change)
            outcome.rows[row or "no row"] += 1
            outcome.uncovered += [] if row else [change]
    return outcome


def graded(pairs: Sequence[Pair]) -> Outcome:
    total = Outcome()
    for pair in pairs:
        total.add(graded_pair(pair))
    return total


def to_line(pair: Pair, outcome: Outcome) -> str:
    left = [astuple(change)[1:] for change in outcome.uncovered]
    row = {"pair": astuple(pair), "tried": outcome.tried, "rows": outcome.rows, "uncovered": left}
    return json.dumps(row) + "\n"


def kept(path: Path) -> Iterator[tuple[Pair, Outcome]]:
    """The pairs of a file of ``--done``. A change without a row is asked for its row again."""
    for line in read_jsonl(path, torn_last_line=True) if path.exists() else ():
        pair, rows = Pair(*line["pair"]), Counter(line["rows"])
        del rows["no row"]
        left = [Change(pair, *parts) for parts in line["uncovered"]]
        rows.update(row_for(change) or "no row" for change in left)
        uncovered = [change for change in left if not row_for(change)]
        yield pair, Outcome(1, int(line["tried"] == 0), line["tried"], rows, uncovered)


def resumed(pairs: Sequence[Pair], path: Path, seconds: float) -> Outcome:
    """The outcome of the pairs of a file, and of as many others as ``seconds`` of wall time allow."""
    total, until = Outcome(), time.monotonic() + seconds
    done = dict(kept(path))
    for outcome in done.values():
        total.add(outcome)
    with path.open("a", encoding="utf-8") as file:
        for pair in pairs:
            if pair in done or time.monotonic() > until:
                continue
            outcome = graded_pair(pair)
            file.write(to_line(pair, outcome))
            file.flush()
            total.add(outcome)
    return total


def report(outcome: Outcome) -> str:
    head = (
        f"{datetime.now(UTC):%Y-%m-%d}, {outcome.pairs:,} pairs, of which {outcome.refused:,} are refused. "
        f"{outcome.tried:,} changes, {outcome.rows.total():,} still paid."
    )
    lines = [f"| {row} | {count:,} |" for row, count in outcome.rows.most_common()]
    left = [f"- `{change.pair.gold}` from `{change.text}`" for change in outcome.uncovered]
    table = ["| row of the policy | changes still paid |", "| --- | --- |", *lines]
    return "\n".join(["# Changes by one token", "", head, "", *table, "", *left, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--done", type=Path)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    pairs = sample(options.pairs, options.seed)
    outcome = resumed(pairs, options.done, options.seconds) if options.done else graded(pairs)
    text = report(outcome)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
