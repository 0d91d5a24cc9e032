"""Random completions through the worker pool: none may hang, raise, or score anything but 0 or 1.

``python -m benchmarks.rewards_fuzz [--strings 100000] [--out FILE]``. Two strings of six are LaTeX pieces in any
order, two are right answers with pieces inserted, deleted or swapped, one is an integral of nested powers, and one is
a formula of operations nested at random beside a gold of the same kind.
"""

from __future__ import annotations

import argparse
import os
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
from rewards.wordlists import words

# Also the material of tests/rewards/test_fuzz.py.
PIECES = (
    *"0123456789xyeinABCD+-*/^_=<>!%$&#~'\"|.,;:()[]{}\\ \n½−×π√⁵７٧",
    *words(
        r"12 0.5 1,234 0.333333 \{ \} \\ \boxed{ \fbox{ \frac \frac{ \sqrt \sqrt{ \text{ \mathrm{ \mathbf{",
        r"\pi \infty \pm \cup \cap \in \le \ne \cdot \times \div \% \$ ^\circ \sin \log_2 \lim_{x\to0} \binom{5}{2}",
        r"\approx \quad \dot \overline{ \vec \begin{pmatrix} \end{pmatrix} \begin{cases} \end{cases} \pmod \equiv",
        r"\implies \sum_{k=1}^{n} \int_0^1 \int_{-3}^{9} \int_{\frac{1}{2}}^{7} dx ^{1000} \frac{d}{dx}",
        r"\left( \right) <think> </think> Yes No or and not",
    ),
    *(" or ", " and ", "final answer is ", "\x00", "\u200f", "\u202e", "\u200b", "\ufeff", "\ud800"),
)
BOUNDS = ("0", "1", "-3", "2", "9", r"\frac{1}{2}", r"\frac{22}{7}", "123456789")
GOLDS = (
    "7", r"\frac{1}{3}", r"50\%", "x^2+2x+1", r"\frac{\sqrt{3}}{2}", "(1,2)", r"\{a,b\}", r"\text{odd}", "B", "x=7",
    "[0,1)", r"9\pi\text{ cm}^2", r"n\equiv 3\pmod 7", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\sqrt{2+\sqrt{3}}",
)  # fmt: skip
LEAVES = words(r"0 1 -1 2 3 -2 7 0.5 10 1000 x n y i e \pi \infty \frac{1}{2}")
# The names stand for formulas inside.
SCALARS = (
    "{a}+{b}", "{a}-{b}", r"{a}\cdot {b}", "({a})({b})", r"\frac{{{a}}}{{{b}}}", "{a}/{b}", "({a})^{{{b}}}",
    "{a}^{{{b}}}", r"\sqrt{{{a}}}", r"\sqrt[{b}]{{{a}}}", r"\log_{{{a}}} ({b})", r"\ln({a})", r"\tan({a})",
    r"\arcsin({a})", "({a})!", r"\binom{{{a}}}{{{b}}}", "|{a}|", r"\lfloor {a}\rfloor", r"\gcd({a},{b})", r"{a}\%",
    r"\sum_{{k=0}}^{{{a}}} k^{{{b}}}", r"\prod_{{k=1}}^{{{a}}} {b}", r"\int_{{{a}}}^{{{b}}} x\,dx",
    r"\lim_{{x\to {a}}} {b}", r"\max({a},{b})", r"\lceil {a}\rceil", r"\sum_{{k=1}}^{{\infty}} {a}",
    r"\int_{{{a}}}^{{{b}}} \sin x\,dx", r"\frac{{d}}{{dx}}({a})", "{a}_{{{b}}}", r"{a}\text{{ cm}}",
)  # fmt: skip
STRUCTURES = (
    "{a}={b}", "({a},{b})", r"\{{{a},{b}\}}", "{a}<{b}", "[{a},{b})", r"\begin{{pmatrix}}{a}\\{b}\end{{pmatrix}}",
    r"{a}\equiv {b}\pmod{{{a}}}", r"\pm {a}", r"{a}\approx {b}", r"x>{a}\text{{ or }}x<{b}",
)  # fmt: skip


def strings(count: int, rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """Gold, completion and mode."""
    for at in range(count):
        kind = KINDS[at % len(KINDS)]
        gold = formula(rng) if kind is formula_beside else rng.choice(GOLDS)
        inner = kind(gold, rng)
        boxed = rng.random() < 0.8
        yield gold, f"So $\\boxed{{{inner}}}$." if boxed else inner, "strict" if boxed else "lenient"


def _pieces(gold: str, rng: random.Random) -> str:
    return "".join(rng.choices(PIECES, k=rng.randint(1, 25)))


def _integral(gold: str, rng: random.Random) -> str:
    """A chain from an integral of nested powers between any bounds to the gold."""
    # Powers of sums would fill the budget of a worker, a second each.
    body = rng.choice(("x", "2x", "-3x^2"))
    for _ in range(rng.randint(0, 5)):
        body = f"({body})^{{{rng.choice((2, 3, 40, 999, 1000))}}}"
    return rf"\int_{{{rng.choice(BOUNDS)}}}^{{{rng.choice(BOUNDS)}}} {body}\,dx={gold}"


def _changed(gold: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(gold))
        gold = gold[:at] + rng.choice([rng.choice(PIECES), ""]) + gold[at + rng.randint(0, 1) :]
    return gold


def formula(rng: random.Random, depth: int = 3) -> str:
    """A structure of two scalars, or one scalar, of operations nested at random."""
    if rng.random() < 0.25:
        return rng.choice(STRUCTURES).format(a=_scalar(rng, depth - 1), b=_scalar(rng, depth - 1))
    return _scalar(rng, depth)


def _scalar(rng: random.Random, depth: int) -> str:
    if depth <= 0:
        return rng.choice(LEAVES)
    inner = [_scalar(rng, rng.randrange(depth)) for _ in range(2)]
    return rng.choice(SCALARS).format(a=inner[0], b=inner[1])


def formula_beside(gold: str, rng: random.Random) -> str:
    """Another formula, or the gold beside a small one: often with the symbols of the gold, so that values decide."""
    small = _scalar(rng, 1)
    chain = f"{_scalar(rng, 2)}={gold}"
    return rng.choice(
        (formula(rng), f"({gold})({small})", f"({gold})^{{{small}}}", f"{gold}+{small}", f"{small}+{gold}", chain)
    )


KINDS = (_changed, _pieces, _changed, _pieces, _integral, formula_beside)


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
            f"{datetime.now(UTC):%Y-%m-%d}, load average {os.getloadavg()[1]:.1f}, {sum(reasons.values()):,} strings, "
            f"seed {options.seed}, two pools of one worker, {time.monotonic() - start:.0f} s. None raised and none "
            f"hung. The longest batch of 500 took {longest:.1f} s.",
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
