"""Changes of paid answers by one token that are still paid, each with the row of the policy that covers the change.

``python -m benchmarks.rewards_certificate [--pairs 100] [--seed 16] [--out FILE]``. Without ``--pairs`` all pairs of
``benchmarks.rewards_insertions`` are taken, which takes about an hour of one core.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.insertion_rules import row_for
from benchmarks.rewards_insertions import Change, Pair, all_pairs, changes, is_paid


def sample(count: int | None, seed: int) -> list[Pair]:
    """``count`` pairs by a fixed seed, or all of them."""
    pairs = list(all_pairs())
    return pairs if count is None else random.Random(seed).sample(pairs, count)


def graded(pairs: Sequence[Pair]) -> tuple[int, Counter[str], list[Change]]:
    """The number of changes, the paid ones by row, and the paid ones that no row covers."""
    rows: Counter[str] = Counter()
    tried, uncovered = 0, []
    for pair in pairs:
        # A right row that is refused certifies nothing.
        if not is_paid(pair, pair.answer):
            continue
        for change in changes(pair):
            tried += 1
            if change.paid():
                row = row_for(change)
                rows[row or "no row"] += 1
                uncovered += [] if row else [change]
    return tried, rows, uncovered


def report(pairs: int, tried: int, rows: Counter[str], uncovered: Sequence[Change]) -> str:
    head = f"{datetime.now(UTC):%Y-%m-%d}, {pairs:,} pairs, {tried:,} changes, {sum(rows.values()):,} still paid."
    lines = [f"| {row} | {count:,} |" for row, count in rows.most_common()]
    left = [f"- `{change.pair.gold}` from `{change.text}`" for change in uncovered]
    table = ["| row of the policy | changes still paid |", "| --- | --- |", *lines]
    return "\n".join(["# Changes by one token", "", head, "", *table, "", *left, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    pairs = sample(options.pairs, options.seed)
    text = report(len(pairs), *graded(pairs))
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
