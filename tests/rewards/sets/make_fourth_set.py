"""Writes ``fourth.jsonl``: 300 hostile and 400 right completions, in the form of ``make_third_set``.

``python tests/rewards/sets/make_fourth_set.py`` writes the same bytes each time. This grader first read the rows after
the file had been committed.
"""

from __future__ import annotations

from make_second_set import FOLDER
from make_third_set import written

HOSTILE, RIGHT = 300, 400


def main() -> None:
    (FOLDER / "fourth.jsonl").write_text("".join(written("fourth", HOSTILE, RIGHT, 164)), encoding="utf-8")


if __name__ == "__main__":
    main()
