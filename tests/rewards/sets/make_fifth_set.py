"""Writes ``fifth.jsonl``: 220 hostile and 240 right completions, in the form of ``make_third_set``.

``python tests/rewards/sets/make_fifth_set.py`` writes the same bytes each time. This grader first read the rows after
the file had been committed.
"""

from __future__ import annotations

from make_second_set import FOLDER
from make_third_set import written

HOSTILE, RIGHT = 220, 240


def main() -> None:
    (FOLDER / "fifth.jsonl").write_text("".join(written("fifth", HOSTILE, RIGHT, 165)), encoding="utf-8")


if __name__ == "__main__":
    main()
