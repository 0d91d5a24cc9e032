"""Problem sets of the world as plain rows."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Literal

from judgerlvr.tinyworld.task import World

Split = Literal["train", "heldout"]
Row = dict[str, str]


def generate_problems(n: int, seed: int, split: Split = "train", world: World | None = None) -> list[Row]:
    """``n`` different problems of one split as ``{"id", "problem", "gold"}``.

    Train and held-out problems are disjoint for any two seeds (see ``Chain.held_out``).
    """
    world = world or World()
    draw = random.Random(seed)
    rows: dict[str, Row] = {}
    while len(rows) < n:
        chain = world.sample_split(draw, split == "heldout")
        row = {"id": f"tiny-{chain.digest[:12]}", "problem": chain.text, "gold": str(chain.answer)}
        rows.setdefault(chain.digest, row)
    return list(rows.values())


def write_problems(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
