"""Bring the arm ``shuffled`` into a record whose other folders are gone.

    python -m benchmarks.stages.seed_pairs.add_arm EXPERIMENT ... --record RECORD

Each EXPERIMENT holds seeds of ``configs/experiments/tiny_pairs_shuffled.yaml``. The base was evaluated there too. Equal
figures of the base say that problems and evaluation are those of the record. What the record has stays as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

from benchmarks.stages.seed_pairs.policies import Figures, Place, figures, figures_of, spent_of
from benchmarks.stages.seed_pairs.record import SEEDS, Seed, read_seeds, rounded, write_seeds
from judgerlvr.evaluation.outputs import SUMMARY
from rewards.errors import InputError, exit_code

T = TypeVar("T")

# The base's evaluation below the seed's folder of the arm.
BASE = Path("judge-shuffled", "eval", "base")


def arms_of(experiments: Sequence[Path]) -> dict[int, Place]:
    """The seeds whose arm is evaluated, in order.

    Raises:
        InputError: no such seed, or one seed in two folders.
    """
    folders = [folder for out in experiments for folder in out.glob("seed-*") if _has_ended(folder)]
    found = {int(folder.name.split("-")[1]): Place(folder, folder) for folder in folders}
    if not found:
        raise InputError("no seed has the arm evaluated", "finish the experiment first", file=experiments[0])
    if len(found) < len(folders):
        raise InputError("a seed lies in two experiments", "give each seed once", file=experiments[-1])
    return dict(sorted(found.items()))


def _has_ended(folder: Path) -> bool:
    return Place(folder, folder).evaluation("shuffled") is not None


def add(seeds: Sequence[Seed], arms: Mapping[int, Place]) -> list[Seed]:
    """The record's seeds with what they lack.

    Raises:
        InputError: a seed that the record lacks, or other figures of a policy that the record has.
    """
    known = {seed.seed: seed for seed in seeds}
    for number, place in arms.items():
        if number not in known:
            raise InputError(f"the record has no seed {number}", "leave the seed out", file=place.pair)
        known[number] = _with_arm(known[number], place)
    return [known[seed.seed] for seed in seeds]


def _with_arm(seed: Seed, place: Place) -> Seed:
    found = {"base": _base(place), **figures_of(place)}
    for name in found.keys() & seed.figures.keys():
        _check_same(name, seed.figures[name], found[name], place)
    return replace(seed, figures=_with_new(seed.figures, found), spent=_with_new(seed.spent, spent_of(place)))


def _with_new(known: Mapping[str, T], found: Mapping[str, T]) -> dict[str, T]:
    return {**known, **{name: value for name, value in found.items() if name not in known}}


def _base(place: Place) -> Figures:
    if not (place.pair / BASE / SUMMARY).is_file():
        raise InputError("the base is not evaluated", "finish the experiment first", file=place.pair / BASE)
    return figures(place.pair / BASE)


def _check_same(name: str, known: Figures, found: Figures, place: Place) -> None:
    """Compare to the digits that a record has."""
    there, here = rounded(asdict(known)), rounded(asdict(found))
    for field in there:
        if there[field] != here[field]:
            problem = f"{name} has {here[field]} here and {there[field]} in the record"
            raise InputError(problem, "evaluate the record's problems by its code", file=place.pair, field=field)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages.seed_pairs.add_arm", description=__doc__)
    parser.add_argument("experiments", type=Path, nargs="+", help="folders of experiments with the arm")
    parser.add_argument("--record", type=Path, required=True, help="folder of the record")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _run(options.experiments, options.record))


def _run(experiments: Sequence[Path], record: Path) -> None:
    if not (record / SEEDS).is_file():
        raise InputError(f"no {SEEDS}", "give the folder of a record", file=record)
    write_seeds(add(read_seeds(record), arms_of(experiments)), record)


if __name__ == "__main__":
    sys.exit(main())
