"""Random completions through the worker pool: none may hang, raise, or score anything but 0 or 1.

``python -m benchmarks.rewards_fuzz [--strings 100000] [--out FILE]``. Half of the strings are LaTeX pieces in any
order, half are right answers with pieces inserted, deleted or swapped.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from rewards.grading.pool import GraderPool
from rewards.types import Problem, Result

PIECES = [
    r"0",
    r"1",
    r"2",
    r"7",
    r"9",
    r"12",
    r"0.5",
    r"1,234",
    r"x",
    r"y",
    r"e",
    r"i",
    r"n",
    r"A",
    r"B",
    r"+",
    r"-",
    r"*",
    r"/",
    r"^",
    r"_",
    r"=",
    r"<",
    r">",
    r"!",
    r"%",
    r"&",
    r"#",
    r"~",
    r"'",
    r'"',
    r"|",
    r".",
    r",",
    r";",
    r":",
    r"(",
    r")",
    r"[",
    r"]",
    r"{",
    r"}",
    r"\{",
    r"\}",
    r"\\",
    r"\frac",
    r"\sqrt",
    r"\text{",
    r"\mathrm{",
    r"\mathbf{",
    r"\left(",
    r"\right)",
    r"\pi",
    r"\infty",
    r"\pm",
    r"\cup",
    r"\cap",
    r"\in",
    r"\le",
    r"\ne",
    r"\cdot",
    r"\times",
    r"\div",
    r"\%",
    r"\$",
    r"^\circ",
    r"\sum_{k=1}^{n}",
    r"\int_0^1",
    r"dx",
    r"\sin",
    r"\log_2",
    r"\lim_{x\to0}",
    r"\binom{5}{2}",
    r"\approx",
    r"\quad",
    r"<think>",
    r"</think>",
    r"Yes",
    r"No",
    r"or",
    r"and",
    r"not",
    r"final_answer_is",
    r"\dot",
    r"\overline{",
    r"\begin{pmatrix}",
    r"\end{pmatrix}",
    r"\begin{cases}",
    r"\end{cases}",
    r"\pmod",
    r"\equiv",
    r"\implies",
    r"\boxed{",
    r"\vec",
    r"½",
    r"−",
    r"×",
    r"π",
    r"√",
    r"⁵",
    r"７",
]
GOLDS = (
    "7", r"\frac{1}{3}", r"50\%", "x^2+2x+1", r"\frac{\sqrt{3}}{2}", "(1,2)", r"\{a,b\}", r"\text{odd}", "B", "x=7",
    "[0,1)", r"9\pi\text{ cm}^2", r"n\equiv 3\pmod 7", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\sqrt{2+\sqrt{3}}",
)  # fmt: skip


def strings(count: int, rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """Gold, completion and mode."""
    for at in range(count):
        gold = rng.choice(GOLDS)
        inner = "".join(rng.choices(PIECES, k=rng.randint(1, 25))) if at % 2 else _changed(gold, rng)
        boxed = rng.random() < 0.8
        yield gold, f"So $\\boxed{{{inner}}}$." if boxed else inner, "strict" if boxed else "lenient"


def _changed(gold: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(gold))
        gold = gold[:at] + rng.choice([rng.choice(PIECES), ""]) + gold[at + rng.randint(0, 1) :]
    return gold


def graded(count: int, seed: int) -> tuple[Counter[str], float]:
    """Reasons of all results, and the longest wait for one batch in seconds."""
    reasons: Counter[str] = Counter()
    longest = 0.0
    with GraderPool(workers=1) as strict, GraderPool(workers=1, mode="lenient") as lenient:
        pools = {"strict": strict, "lenient": lenient}
        drawn = strings(count, random.Random(seed))
        while batch := list(islice(drawn, 500)):
            start = time.monotonic()
            futures: list[Future[Result]] = [
                pools[mode].submit(Problem("", "", gold), completion) for gold, completion, mode in batch
            ]
            for future in futures:
                result = future.result(timeout=300)
                if result.score not in (0.0, 1.0):
                    raise AssertionError(result)
                reasons[str(result.reason)] += 1
            longest = max(longest, time.monotonic() - start)
    return reasons, longest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strings", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    start = time.monotonic()
    reasons, longest = graded(options.strings, options.seed)
    report = "\n".join(
        [
            "# Random strings through the pool",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {sum(reasons.values()):,} strings, seed {options.seed}, two pools of one "
            f"worker, {time.monotonic() - start:.0f} s. None raised and none hung. The longest batch of 500 took "
            f"{longest:.1f} s.",
            "",
            "| reason | strings |",
            "| --- | --- |",
            *(f"| {reason} | {count:,} |" for reason, count in reasons.most_common()),
            "",
        ]
    )
    print(report)
    if options.out:
        options.out.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
