"""The record of an experiment's pairs: ``seeds.json`` with the figures of each seed, and the product's ``over-seeds``.

    python -m benchmarks.stages.seed_pairs.record EXPERIMENT ... --out RECORD

Experiments that ran other seeds of the same plan become one record.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.stages.seed_pairs.entropy_search import Point
from benchmarks.stages.seed_pairs.policies import Figures, figures_of, places, spent_of
from benchmarks.stages.seed_pairs.sharpening import PLAN, curves_of
from judgerlvr.experiments.over_seeds import write_over_seeds
from judgerlvr.experiments.plan import read_plan
from judgerlvr.experiments.plan_values import OVER_SEEDS

SEEDS = "seeds.json"


@dataclass(frozen=True)
class Seed:
    """One seed: figures by policy, what each arm spent, and the curves over temperatures of the searched policies."""

    seed: int
    figures: Mapping[str, Figures]
    spent: Mapping[str, Mapping[str, float]]
    curves: Mapping[str, Sequence[Point]]


def collect(experiments: Sequence[Path]) -> list[Seed]:
    return [
        Seed(number, figures_of(place), spent_of(place), curves_of(place))
        for number, place in places(experiments).items()
    ]


def read_seeds(record: Path) -> list[Seed]:
    rows = json.loads((record / SEEDS).read_text(encoding="utf-8"))["seeds"]
    return [_seed(row) for row in rows]


def _seed(row: Mapping[str, Any]) -> Seed:
    figures = {name: Figures(**one) for name, one in row["figures"].items()}
    curves = {name: [Point(**point) for point in points] for name, points in row["curves"].items()}
    return Seed(row["seed"], figures, row["spent"], curves)


def write_seeds(seeds: Sequence[Seed], record: Path) -> None:
    rows = rounded({"seeds": [asdict(seed) for seed in seeds]})
    (record / SEEDS).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def rounded(value: Any) -> Any:
    """A record's digits: six behind the point, which are far below the noise of any figure."""
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return round(value, 6) if isinstance(value, float) else value


def copy_over_seeds(experiments: Sequence[Path], record: Path) -> None:
    """The product's own summary over the seeds of all experiments."""
    found = places(experiments)
    plan = replace(read_plan(PLAN), seeds=list(found))
    with TemporaryDirectory() as joined:
        for seed, place in found.items():
            (Path(joined) / f"seed-{seed}").symlink_to(place.pair.absolute())
        write_over_seeds(plan, Path(joined))
        for name in OVER_SEEDS:
            (record / name).write_text((Path(joined) / name).read_text(encoding="utf-8"), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages.seed_pairs.record", description=__doc__)
    parser.add_argument("experiments", type=Path, nargs="+", help="folders of experiments with seeds")
    parser.add_argument("--out", type=Path, required=True, help="folder of the record")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    write_seeds(collect(options.experiments), options.out)
    copy_over_seeds(options.experiments, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
