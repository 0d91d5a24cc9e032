"""Answers graded per second on this machine, beside math-verify called serially and verl's own scorer.

All three graders run in turn. The 10,000 answers are cut into blocks, and every grader grades each block before the
next block, so that a busy machine slows all graders alike. ``python -m benchmarks.rewards_throughput [--out FILE]``
prints a markdown table.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.endless_verifier import ENDLESS
from rewards.extraction.extract import final_answer
from rewards.grading.dispatcher import PoolLimits
from rewards.grading.fork_server_client import process_clock
from rewards.grading.pool import GraderPool
from rewards.types import Problem, Reason, Result

Pair = tuple[str, str]  # gold, completion
GROUP = 8
GROUPS = 1250
BLOCKS = 10
ENDLESS_ANSWERS = 10
REASONING = "We set up the equation, simplify both sides and solve for the unknown. " * 8
KINDS = ("number",) * 80 + ("fraction or root",) * 12 + ("polynomial, tuple or set",) * 8


def make_groups(rng: random.Random) -> list[list[Pair]]:
    """Groups of 8 answers to one gold. Golds differ between groups, so nothing is shared beyond a group."""
    golds: set[str] = set()
    groups: list[list[Pair]] = []
    while len(groups) < GROUPS:
        gold, others = _gold_and_answers(KINDS[len(groups) % len(KINDS)], rng)
        if gold not in golds:
            golds.add(gold)
            answers = [rng.choice([gold, *others]) for _ in range(GROUP)]
            groups.append([(gold, f"{REASONING}So the answer is $\\boxed{{{answer}}}$.") for answer in answers])
    rng.shuffle(groups)
    return groups


def _gold_and_answers(kind: str, rng: random.Random) -> tuple[str, list[str]]:
    a, b, c = rng.randrange(2, 9999), rng.randrange(2, 99), rng.randrange(2, 99)
    if kind == "number":
        whole = rng.random() < 0.75
        gold = str(a) if whole else f"{a}.{b}"
        return gold, [
            gold + ("" if whole else "0"),
            f"{a:,}",
            str(a + 1),
            str(a - b),
            f"-{gold}",
            f"{gold} \\text{{ cm}}",
        ]
    if kind == "fraction or root":
        if rng.random() < 0.5:
            return f"\\frac{{{a}}}{{{b}}}", [
                f"\\dfrac{{{2 * a}}}{{{2 * b}}}",
                f"{a}/{b}",
                f"\\frac{{{a}}}{{{b + 1}}}",
                str(a),
            ]
        return f"{a}\\sqrt{{{b}}}", [
            f"\\sqrt{{{a * a * b}}}",
            f"{a + 1}\\sqrt{{{b}}}",
            f"{a}\\sqrt{{{b + 1}}}",
            str(a),
        ]
    form = rng.choice(("polynomial", "tuple", "set"))
    if form == "polynomial":
        return f"{a}x^2+{b}x+{c}", [f"{c}+{b}x+{a}x^2", f"x({a}x+{b})+{c}", f"{a}x^2+{b}x-{c}", f"{a}x^2+{c}x"]
    if form == "tuple":
        others = [f"({a},{b},\\sqrt{{{c}}})", f"({a},{b},\\frac{{{c}}}{{\\sqrt{{{c}}}}})", f"({b}, {a}, \\sqrt{{{c}}})"]
        return f"({a}, {b}, \\sqrt{{{c}}})", others
    return f"\\{{{a}, {b}, {c}\\}}", [f"\\{{{c}, {b}, {a}\\}}", f"{a}, {b}, {c}", f"\\{{{a}, {b}\\}}"]


def hostile_screened(index: int) -> Pair:
    """Completions that screening refuses before anything is parsed."""
    forms = (
        "9^{9^{9^{%d}}}",
        "(10^%d)!",
        "\\sum_{k=1}^{10^{%d}} 1/k",
        "\\frac{1}{" * 3000 + "%d",
        "x^{%d}" + "9" * 200_000,
    )
    return str(index), f"\\boxed{{{forms[index % len(forms)] % (index + 9)}}}"


def hostile_endless(index: int) -> Pair:
    """A pair for a worker. With the text ENDLESS the verifier of the benchmark never ends."""
    return worker_pair(index + 5000)


def worker_pair(index: int) -> Pair:
    """A nested root. No exact form decides, and a worker compares values of high precision."""
    first, second = index + 2, 2 * index + 7
    gold = f"\\sqrt{{{first}}}+\\sqrt{{{second}}}"
    answer = f"\\sqrt{{{first + second}+2\\sqrt{{{first * second}}}}}"
    return gold, f"{REASONING}So the answer is $\\boxed{{{answer}}}$."


def by_math_verify(pairs: Sequence[Pair]) -> None:
    from math_verify import parse, verify

    for gold, completion in pairs:
        verify(parse(f"\\boxed{{{gold}}}"), parse(completion))


def by_verl(pairs: Sequence[Pair]) -> None:
    """verl's scorer as its reward loop calls it: from threads, into its own four processes."""
    from verl.utils.reward_score.math_verify import compute_score

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda pair: compute_score(pair[1], pair[0]), pairs))


def by_pool(pool: GraderPool, pairs: Sequence[Pair]) -> list[Result]:
    return pool.grade_many([(Problem("", "", gold), completion) for gold, completion in pairs])


def in_workers(pool: GraderPool, pairs: Sequence[Pair]) -> list[Result]:
    """Every answer is verified in a worker. The cache is not asked."""
    answers = [(Problem("", "", gold), final_answer(completion).answer or "") for gold, completion in pairs]
    futures = [pool.submit_answer(problem, answer, in_worker=True) for problem, answer in answers]
    return [future.result() for future in futures]


def engine_path(count: int = 500) -> str:
    """Answers that only a worker decides, cache off, beside serial math-verify, in processor seconds by blocks."""
    pairs = [worker_pair(index) for index in range(count)]
    size = count // BLOCKS
    ratios = []
    with GraderPool(workers=2) as pool:
        pool.start()
        in_workers(pool, pairs[:4])
        by_math_verify(pairs[:4])
        for block in (pairs[at : at + size] for at in range(0, count, size)):
            ours, theirs = measured(partial(in_workers, pool, block)), measured(partial(by_math_verify, block))
            ratios.append(theirs.processor / ours.processor)
    spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})"
    what = f"{count} nested roots, each in a worker, cache off"
    return f"- {what}: {spread} times serial math-verify by processor seconds, median of {BLOCKS} blocks (range)"


@dataclass
class Cost:
    """Wall seconds, and processor seconds of this process and everything below it."""

    wall: float
    processor: float


def measured(function: Callable[[], object]) -> Cost:
    wall, processor = time.perf_counter(), tree_seconds(os.getpid())
    function()
    return Cost(time.perf_counter() - wall, tree_seconds(os.getpid()) - processor)


def tree_seconds(pid: int) -> float:
    """Processor seconds of a process and its living descendants. These graders end no descendant."""
    clock = process_clock(pid)
    below = [int(word) for task in Path(f"/proc/{pid}/task").glob("*/children") for word in task.read_text().split()]
    return (clock.seconds if clock else 0.0) + sum(map(tree_seconds, below))


def interleaved(groups: Sequence[list[Pair]]) -> dict[str, list[Cost]]:
    """Cost of each block for each grader. The order rotates. All graders are started and warm."""
    size = len(groups) // BLOCKS
    blocks = [[pair for group in groups[at : at + size] for pair in group] for at in range(0, len(groups), size)]
    with GraderPool(workers=2) as pool:
        graders: dict[str, Callable[[Sequence[Pair]], object]] = {
            "this pool": lambda pairs: by_pool(pool, pairs),
            "math-verify, serial": by_math_verify,
            "verl's math_verify scorer": by_verl,
        }
        pool.start()
        for grade in graders.values():
            grade([("x+1", "\\boxed{1+x}"), ("1", "\\boxed{1}")])
        costs: dict[str, list[Cost]] = {name: [] for name in graders}
        for number, block in enumerate(blocks):
            names = list(graders)
            for name in names[number % 3 :] + names[: number % 3]:
                costs[name].append(measured(lambda name=name, block=block: graders[name](block)))  # type: ignore[misc]
    return costs


def _attacked(pair: Pair, endless: bool) -> tuple[Problem, str]:
    hostile = endless and pair in {hostile_endless(index) for index in range(ENDLESS_ANSWERS)}
    return Problem("", ENDLESS if hostile else "", pair[0]), pair[1]


def under_attack(groups: Sequence[list[Pair]]) -> list[str]:
    """Clean wall time against 1 % of answers refused by screening, and against 10 that reach the outer limit."""
    clean = [pair for group in groups for pair in group]
    rng = random.Random(5)
    screened = [*clean, *(hostile_screened(index) for index in range(len(clean) // 100))]
    endless = [*clean, *(hostile_endless(index) for index in range(ENDLESS_ANSWERS))]
    rng.shuffle(screened)
    rng.shuffle(endless)
    # Without the inner limit, each of the ten answers takes the whole outer limit and costs its worker.
    limits = PoolLimits(inner_seconds=600.0)
    walls: dict[str, list[float]] = {"clean": [], "1 % hostile": [], "10 endless": []}
    lost = 0
    for _ in range(3):
        for name, pairs in (("clean", clean), ("1 % hostile", screened), ("10 endless", endless)):
            if name == "10 endless" and walls[name]:
                continue
            with GraderPool("benchmarks.endless_verifier:verify", workers=2, limits=limits) as pool:
                pool.start()
                started = time.perf_counter()
                results = pool.grade_many([_attacked(pair, name == "10 endless") for pair in pairs])
                walls[name].append(time.perf_counter() - started)
            hostile = {hostile_endless(index) for index in range(ENDLESS_ANSWERS)}
            innocent = [
                result
                for pair, result in zip(pairs, results, strict=True)
                if pair[1].startswith(REASONING) and pair not in hostile
            ]
            lost += sum(result.reason in (Reason.TIMEOUT, Reason.TOO_COMPLEX) for result in innocent)
    base, attacked, endless_wall = (statistics.median(walls[name]) for name in walls)
    rate = (len(screened) / attacked) / (len(clean) / base)
    return [
        f"- 1 % hostile of the kind that screening refuses: {rate:.0%} of the clean rate (floor 80 %)",
        f"- 10 that reach the outer limit, 2 workers: {endless_wall:.1f} s against {base:.1f} s clean; "
        f"allowed {base + 10 / 2 * 4 * 1.3:.1f} s",
        f"- innocent answers not graded: {lost}",
    ]


def table(costs: dict[str, list[Cost]]) -> list[str]:
    serial = costs["math-verify, serial"]
    answers = GROUP * GROUPS
    lines = [
        "| grader | seconds | answers/s | processor seconds | times serial by processor: median of blocks (range) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, mine in costs.items():
        ratios = [theirs.processor / own.processor for theirs, own in zip(serial, mine, strict=True)]
        wall, processor = sum(cost.wall for cost in mine), sum(cost.processor for cost in mine)
        spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})"
        lines.append(f"| {name} | {wall:.1f} | {answers / wall:.0f} | {processor:.1f} | {spread} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="also write the report to this file")
    options = parser.parse_args()
    groups = make_groups(random.Random(20261124))
    distinct = statistics.mean(len(set(group)) for group in groups)
    load = f"load average {os.getloadavg()[1]:.1f}"
    machine = f"{os.cpu_count()} cores ({load}), {platform.machine()}, Python {platform.python_version()}"
    lines = [
        "# Throughput of the rewards",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}, math-verify {version('math-verify')}, verl {version('verl')}.",
        f"{GROUP * GROUPS} answers, {GROUPS} groups of {GROUP} ({distinct:.1f} distinct a group; no gold twice):",
        "80 % numbers, 12 % fractions and roots, 8 % polynomials, tuples and sets. Blocks interleaved in one run.",
        "",
        *table(interleaved(groups)),
        "",
        engine_path(),
        *under_attack(groups),
    ]
    report = "\n".join(lines) + "\n"
    print(report)
    if options.out:
        options.out.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
