"""Policies of the pair in the lab's own terms: ``python -m benchmarks.lab_pair.evaluate CELL_DIR NAME=POLICY...``.

``judgerlvr.evaluate`` would let the policy write the replies of the world, so the lab's evaluator measures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.lab.cells import Cell
from benchmarks.lab.command import BadInput, Parser, one_line, writable_file
from benchmarks.lab.evaluation import Evaluator, Point
from benchmarks.lab.model import Weights
from benchmarks.lab.records import machine
from benchmarks.lab.sampler import Sampler
from benchmarks.lab.worlds.chain import ChainConfig, ChainWorld
from benchmarks.lab_pair.prepare import LABEL, read_cell, shape_of
from benchmarks.lab_pair.qwen3 import read_policy

SHOWN = ("accuracy", "greedy_accuracy", "tokens", "truncated", "rechecks", "entropy")


def points(cell: Cell, policies: dict[str, Weights]) -> dict[str, Point]:
    """The lab's last point of a curve for each policy, on the lab's held-out problems."""
    assert isinstance(cell.world, ChainConfig)
    device = next(iter(policies.values()))["embedding"].device
    world = ChainWorld(cell.world, device)
    sampler = Sampler(shape_of(cell, world), world, 1, cell.rl.prompts * cell.rl.group, False, device)
    evaluator = Evaluator(world, sampler, sampler, None, cell.rl.group)
    return {name: evaluator.points(weights, full=True)[0] for name, weights in policies.items()}


def named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and (Path(path) / "config.json").is_file()):
        raise BadInput(f"{text!r} names no policy: write NAME=DIR, a folder with config.json")
    return name, Path(path)


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(prog="python -m benchmarks.lab_pair.evaluate", description=LABEL)
    parser.add_argument("cell", type=Path, metavar="CELL_DIR", help="folder of the lab's cell whose base was exported")
    parser.add_argument("policies", nargs="+", metavar="NAME=DIR", help="policies that the stages have published")
    parser.add_argument("--out", type=Path, required=True, help="file for the points, as JSON")
    options = parser.parse_args(arguments)
    paths, file = dict(map(named, options.policies)), writable_file(options.out, (".json",))
    cell, base = read_cell(options.cell)
    assert isinstance(cell.world, ChainConfig)
    device = base["embedding"].device
    shape = shape_of(cell, ChainWorld(cell.world, device))
    read = {
        name: {key: value.to(device) for key, value in read_policy(shape, path).items()} for name, path in paths.items()
    }
    found = points(cell, {"base": base, **read})
    file.write_text(json.dumps({"label": LABEL, "cell": cell.name, **machine(device), "points": found}, indent=1))
    print(LABEL)
    for name, point in found.items():
        print(name, *(f"{figure} {point[figure]:.3f}" for figure in SHOWN), sep="  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
