"""False accepts and false refusals on a set of completions: this grader, math-verify, and verl's five scorers.

``python -m benchmarks.rewards_table [FILE] [--out FILE]``. A row of the file has gold, completion, expected (0 or 1),
mode (strict or lenient) and kind. The other graders know one mode.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rewards.grading.pool import GraderPool
from rewards.types import Problem

FILE = Path(__file__).parents[1] / "tests" / "rewards" / "sets" / "completions.jsonl"
Row = dict[str, Any]
Grader = Callable[[Sequence[Row]], list[bool]]


def read_rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def by_this_pool(rows: Sequence[Row]) -> list[bool]:
    """Each row in its own mode, with the default verifier."""
    with GraderPool(workers=1) as strict, GraderPool(workers=1, mode="lenient") as lenient:
        pools = {"strict": strict, "lenient": lenient}
        futures = [
            pools[row["mode"]].submit(Problem("", row.get("problem", ""), row["gold"]), row["completion"])
            for row in rows
        ]
        return [bool(future.result().score) for future in futures]


def by_math_verify(rows: Sequence[Row]) -> list[bool]:
    """The gold in a box, and the box of the completion before anything else."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    box_first = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    return [
        bool(verify(parse(f"\\boxed{{{row['gold']}}}"), parse(row["completion"], extraction_config=box_first)))
        for row in rows
    ]


def by_verl(name: str) -> Grader:
    """A scorer of ``verl.utils.reward_score``. geo3k needs a package beyond verl."""

    def grade(rows: Sequence[Row]) -> list[bool]:
        score = _verl_scorer(name)
        with contextlib.redirect_stdout(io.StringIO()):
            return [score(row["completion"], row["gold"]) for row in rows]

    return grade


def _verl_scorer(name: str) -> Callable[[str, str], bool]:
    from verl.utils.reward_score import gsm8k, math_dapo, math_reward, math_verify, prime_math

    scorers: dict[str, Callable[[str, str], Any]] = {
        "math_verify": math_verify.compute_score,
        "prime_math": lambda text, gold: prime_math.compute_score(text, gold)[0],
        "math_dapo": lambda text, gold: math_dapo.compute_score(text, gold)["score"] > 0,
        "math_reward": math_reward.compute_score,
        "gsm8k": lambda text, gold: gsm8k.compute_score(text, gold, method="flexible"),
    }

    def score(text: str, gold: str) -> bool:
        return bool(scorers[name](text, gold))

    return score


GRADERS: dict[str, Grader] = {"this grader": by_this_pool, "math-verify, box first": by_math_verify} | {
    f"verl {name}": by_verl(name) for name in ("math_verify", "prime_math", "math_dapo", "math_reward", "gsm8k")
}


def table(rows: Sequence[Row], verdicts: dict[str, list[bool]]) -> list[str]:
    """One line a grader, then one line a kind for this grader and math-verify."""
    hostile = sum(not row["expected"] for row in rows)
    right = len(rows) - hostile
    lines = [f"| grader | false accepts of {hostile} | false refusals of {right} |", "| --- | --- | --- |"]
    for name, paid in verdicts.items():
        accepts = sum(score and not row["expected"] for row, score in zip(rows, paid, strict=True))
        refusals = sum(row["expected"] and not score for row, score in zip(rows, paid, strict=True))
        lines.append(f"| {name} | {accepts} ({accepts / hostile:.1%}) | {refusals} ({refusals / right:.1%}) |")
    return [*lines, "", *_by_kind(rows, verdicts)]


def _by_kind(rows: Sequence[Row], verdicts: dict[str, list[bool]]) -> list[str]:
    total = Counter((bool(row["expected"]), row["kind"]) for row in rows)
    shown = list(verdicts)[:2]
    wrong = {
        name: Counter(
            (bool(row["expected"]), row["kind"])
            for row, score in zip(rows, verdicts[name], strict=True)
            if score != bool(row["expected"])
        )
        for name in shown
    }
    lines = [
        f"| kind | expected | rows | {' | '.join(f'{name}: wrong' for name in shown)} |",
        "| --- " * (3 + len(shown)) + "|",
    ]
    for (expected, kind), count in sorted(total.items()):
        cells = " | ".join(str(wrong[name][expected, kind]) for name in shown)
        lines.append(f"| {kind} | {int(expected)} | {count} | {cells} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=FILE)
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    rows = read_rows(options.file)
    verdicts = {}
    for name, grade in GRADERS.items():
        verdicts[name] = grade(rows)
        print(f"{name}: {sum(verdicts[name])} of {len(rows)} paid", file=sys.stderr, flush=True)
    head = [
        f"# Graders on {options.file.name}",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, math-verify {version('math-verify')}, verl {version('verl')}.",
        "",
    ]
    report = "\n".join([*head, *table(rows, verdicts)]) + "\n"
    print(report)
    if options.out:
        options.out.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
