"""Writes ``sixth.jsonl``: 180 hostile and 160 right completions, in the form of ``make_third_set``.

``python tests/rewards/sets/make_sixth_set.py`` writes the same bytes each time. This grader first read the rows after
the file had been committed.
"""

from __future__ import annotations

from make_second_set import FOLDER
from make_third_set import written

HOSTILE, RIGHT = 180, 160


def main() -> None:
    (FOLDER / "sixth.jsonl").write_text("".join(written("sixth", HOSTILE, RIGHT, 166)), encoding="utf-8")


if __name__ == "__main__":
    main()
