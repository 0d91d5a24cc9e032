"""Tables and outcome of a record of pairs, as lines of Markdown.

python -m benchmarks.stages.seed_pairs.page RECORD
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.lab.statistics import front_tokens
from benchmarks.lab.tables import markdown_table
from benchmarks.stages.seed_pairs.entropy_search import Point, at_entropy, reached
from benchmarks.stages.seed_pairs.policies import EVALUATIONS, PAIR, Figures
from benchmarks.stages.seed_pairs.record import Seed, read_seeds
from benchmarks.stages.seed_pairs.sharpening import SEARCHES
from judgerlvr.diagnosis.cases import UNREACHED, case_of
from judgerlvr.evaluation.intervals import Estimate
from judgerlvr.experiments.pairs import Differences, Numbers, Pair, differences, t_interval

Reader = Callable[[Seed], Numbers]
# Column, field of the figures, scale and digits.
COLUMNS = (
    ("accuracy", "accuracy", 100, 1),
    ("greedy", "greedy", 100, 1),
    ("tokens", "tokens", 1, 1),
    ("greedy tokens", "greedy_tokens", 1, 1),
    ("truncated, %", "truncated", 100, 1),
    ("entropy", "entropy", 1, 3),
    ("judging", "judging", 100, 1),
)


def free(name: str) -> Reader:
    """A policy at temperature 1."""
    return lambda seed: _numbers(seed.figures[name].point)


def greedy(name: str) -> Reader:
    return lambda seed: Numbers(seed.figures[name].greedy, seed.figures[name].greedy_tokens)


def sharpened(name: str, target: str) -> Reader:
    """A policy at the temperature where its entropy is that of ``target`` at temperature 1."""
    return lambda seed: _numbers(matched(seed, name, target))


def matched(seed: Seed, name: str, target: str) -> Point:
    """The policy's figures at that temperature.

    Raises:
        LookupError: no such policy, or its search has not come near.
    """
    points, entropy = seed.curves[name], seed.figures[target].entropy
    if not reached(points, entropy):
        raise LookupError(f"seed {seed.seed}: {name} was not sampled near the entropy of {target}")
    return at_entropy(points, entropy)


def _numbers(point: Point) -> Numbers:
    return Numbers(point.accuracy, point.tokens)


ARMS_SHOWN = (*PAIR, "penalty", "shuffled")
# What is compared, ours and theirs.
ARMS: tuple[tuple[str, Reader, Reader], ...] = (
    ("JudgeRLVR less vanilla", free("JudgeRLVR"), free("vanilla")),
    ("JudgeRLVR less vanilla, greedy", greedy("JudgeRLVR"), greedy("vanilla")),
    ("JudgeRLVR less vanilla at JudgeRLVR's entropy", free("JudgeRLVR"), sharpened("vanilla", "JudgeRLVR")),
    ("penalty less vanilla", free("penalty"), free("vanilla")),
    ("penalty less vanilla, greedy", greedy("penalty"), greedy("vanilla")),
    ("JudgeRLVR less penalty", free("JudgeRLVR"), free("penalty")),
    ("shuffled less vanilla", free("shuffled"), free("vanilla")),
    ("shuffled less vanilla, greedy", greedy("shuffled"), greedy("vanilla")),
    ("JudgeRLVR less shuffled", free("JudgeRLVR"), free("shuffled")),
    ("JudgeRLVR less shuffled, greedy", greedy("JudgeRLVR"), greedy("shuffled")),
)
SHARPENING: tuple[tuple[str, Reader, Reader], ...] = (
    ("JudgeRLVR less base", free("JudgeRLVR"), free("base")),
    ("JudgeRLVR less base at JudgeRLVR's entropy", free("JudgeRLVR"), sharpened("base", "JudgeRLVR")),
    ("JudgeRLVR less base, greedy", greedy("JudgeRLVR"), greedy("base")),
    ("vanilla less base", free("vanilla"), free("base")),
    ("vanilla less base at vanilla's entropy", free("vanilla"), sharpened("base", "vanilla")),
    ("vanilla less base, greedy", greedy("vanilla"), greedy("base")),
    ("shuffled less base", free("shuffled"), free("base")),
    ("shuffled less base, greedy", greedy("shuffled"), greedy("base")),
)


def pairs_of(seeds: Sequence[Seed], ours: Reader, theirs: Reader) -> list[Pair]:
    """A pair of each seed that has both policies."""
    found = []
    for seed in seeds:
        try:
            found.append(Pair(seed.seed, ours(seed), theirs(seed)))
        except LookupError:  # an arm or a search that did not end
            continue
    return found


def comparisons(seeds: Sequence[Seed], rows: Iterable[tuple[str, Reader, Reader]]) -> list[str]:
    """A line for each comparison: means of both sides, and differences with 95 % intervals over seeds."""
    head = ("comparison", "pairs", "accuracy, %", "points", "tokens", "tokens, %")
    made = [(name, pairs_of(seeds, ours, theirs)) for name, ours, theirs in rows]
    return markdown_table(head, [_compared(name, pairs) for name, pairs in made if pairs])


def _compared(name: str, pairs: Sequence[Pair]) -> list[str]:
    found = differences(pairs)
    levels = [f"{_mean(pairs, which, field):.1f}" for field in ("accuracy", "tokens") for which in ("ours", "theirs")]
    accuracy, tokens = " and ".join(levels[:2]), " and ".join(levels[2:])
    return [name, str(len(pairs)), accuracy, shown(found.accuracy, 100), tokens, shown(found.tokens_share, 100)]


def _mean(pairs: Sequence[Pair], which: str, field: str) -> float:
    scale = 100 if field == "accuracy" else 1
    return scale * math.fsum(getattr(getattr(pair, which), field) for pair in pairs) / len(pairs)


def shown(value: Estimate, scale: float) -> str:
    return f"{scale * value.value:+.1f} [{scale * value.low:+.1f}, {scale * value.high:+.1f}]"


def by_seed(seeds: Sequence[Seed]) -> list[str]:
    """Accuracy and tokens of each arm, seed by seed."""
    arms = [arm for arm in ARMS_SHOWN if any(arm in seed.figures for seed in seeds)]
    head = ("seed", *(f"{arm}: accuracy, tokens" for arm in arms), "JudgeRLVR less vanilla: points", "tokens, %")
    return markdown_table(head, [_of_seed(seed, arms) for seed in seeds])


def _of_seed(seed: Seed, arms: Sequence[str]) -> list[str]:
    found = [seed.figures.get(arm) for arm in arms]
    cells = [f"{100 * one.accuracy:.1f}, {one.tokens:.1f}" if one else "-" for one in found]
    ours, theirs = (seed.figures[arm] for arm in PAIR)
    points, share = 100 * (ours.accuracy - theirs.accuracy), 100 * (ours.tokens / theirs.tokens - 1)
    return [str(seed.seed), *cells, f"{points:+.1f}", f"{share:+.1f}"]


def policies(seeds: Sequence[Seed]) -> list[str]:
    """Mean over seeds of each policy's figures, with the smallest and the largest in brackets."""
    head = ("policy", "seeds", *(name for name, *_ in COLUMNS), "sampled in training, thousand tokens")
    return markdown_table(
        head, [_policy(seeds, name) for name in EVALUATIONS if any(name in seed.figures for seed in seeds)]
    )


def _policy(seeds: Sequence[Seed], name: str) -> list[str]:
    found = [seed.figures[name] for seed in seeds if name in seed.figures]
    spent = [seed.spent[name]["tokens"] / 1000 for seed in seeds if name in seed.spent]
    columns = [_spread([scale * _field(one, field) for one in found], digits) for _, field, scale, digits in COLUMNS]
    return [name, str(len(found)), *columns, _spread(spent, 0) if spent else "-"]


def _field(figures: Figures, name: str) -> float:
    return float(getattr(figures, name))


def _spread(values: Sequence[float], digits: int) -> str:
    ends = f"{min(values):.{digits}f} to {max(values):.{digits}f}"
    return f"{math.fsum(values) / len(values):.{digits}f} ({ends})"


def temperatures(seeds: Sequence[Seed]) -> list[str]:
    """Temperatures at which a policy has the entropy of another."""
    head = ("policy", "with the entropy of", "seeds", "temperature")
    rows = [(name, target) for name, targets in SEARCHES.items() for target in targets]
    found = {row: [matched(seed, *row).temperature for seed in seeds if _searched(seed, *row)] for row in rows}
    return markdown_table(
        head, [(*row, str(len(values)), _spread(values, 2)) for row, values in found.items() if values]
    )


def _searched(seed: Seed, name: str, target: str) -> bool:
    return reached(seed.curves[name], seed.figures[target].entropy)


def front_of(seeds: Sequence[Seed]) -> list[tuple[float, float]]:
    """Mean (accuracy, tokens) of vanilla and penalty, over the seeds whose penalty run ended."""
    ended = [seed for seed in seeds if "penalty" in seed.figures]
    return [
        (
            t_interval([seed.figures[arm].accuracy for seed in ended]).value,
            t_interval([seed.figures[arm].tokens for seed in ended]).value,
        )
        for arm in ("vanilla", "penalty")
    ]


def found_of(seeds: Sequence[Seed]) -> Differences:
    """The registered comparison."""
    return differences(pairs_of(seeds, free("JudgeRLVR"), free("vanilla")))


def measured_case(seeds: Sequence[Seed]) -> dict[str, Any]:
    """The figures of a row of ``judgerlvr/diagnosis/cases.json``. Inputs, name and condition stand there alone."""
    found = found_of(seeds)
    ours = [seed.figures["JudgeRLVR"] for seed in seeds]
    accuracy, tokens = t_interval([one.accuracy for one in ours]).value, t_interval([one.tokens for one in ours]).value
    front = front_tokens(front_of(seeds), accuracy)
    shares = found.tokens_share
    logs = [-math.log1p(value) for value in (shares.value, shares.high, shares.low)]
    return {
        "pairs": len(seeds),
        "accuracy": _bounds([found.accuracy.value, found.accuracy.low, found.accuracy.high]),
        "shortening": _bounds(logs),
        "tokens": round(tokens, 4),
        "front_tokens": UNREACHED if math.isinf(front) else round(front, 4),
    }


def _bounds(values: Sequence[float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in zip(("mean", "low", "high"), values, strict=True)}


def outcome(seeds: Sequence[Seed]) -> str:
    """By the registered margins, for this comparison alone."""
    named = {"name": "", "family": "", "record": "", "condition": "", "inputs": {}, "failed_checks": []}
    return case_of(named | measured_case(seeds)).outcome


def verdict(seeds: Sequence[Seed]) -> str:
    """The outcome and what the front has, in words."""
    front = ", ".join(f"{100 * accuracy:.1f} % with {tokens:.1f} tokens" for accuracy, tokens in front_of(seeds))
    needed = measured_case(seeds)["front_tokens"]
    return f"Outcome: {outcome(seeds)}. Vanilla and penalty: {front}. Their front at JudgeRLVR's accuracy: {needed}."


def lines(seeds: Sequence[Seed]) -> list[str]:
    compared = (comparisons(seeds, rows) for rows in (ARMS, SHARPENING))
    tables = (by_seed(seeds), *compared, policies(seeds), temperatures(seeds))
    shown_tables = [line for table in tables for line in (*table, "")]
    return [*shown_tables, verdict(seeds), "", json.dumps(measured_case(seeds))]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages.seed_pairs.page", description=__doc__)
    parser.add_argument("record", type=Path, help="folder of the record")
    print("\n".join(lines(read_seeds(parser.parse_args(arguments).record))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
