"""200 problems that the small example model solves at times: `python -m examples.own_model.make_problems FILE`."""

import json
import random
import sys
from pathlib import Path

COUNT = 200


def problem(draw: random.Random) -> dict[str, str]:
    """A first number and two steps modulo 30, in the layout that the example model knows."""
    value = draw.randint(1, 29)
    lines = ["mod 30", f"a={value}"]
    for before, name in ("ab", "bc"):
        number, sign = draw.randint(1, 29), draw.choice("+-")
        value = (value + number if sign == "+" else value - number) % 30
        lines.append(f"{name}={before}{sign}{number}")
    return {"problem": "\n".join([*lines, "c?"]), "answer": str(value)}


def main(path: Path) -> None:
    draw, rows = random.Random(0), dict[str, dict[str, str]]()
    while len(rows) < COUNT:
        row = problem(draw)
        rows[row["problem"]] = row
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows.values()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
