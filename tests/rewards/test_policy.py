"""The policy table of docs/rewards.md, row by row, and the symmetry it promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rewards.comparison.compare import compare, compare_quick
from rewards.types import Reason

_ROW = re.compile(r"^\|[^|]*\| `(?P<gold>.+?)` \| `(?P<answer>.+?)` \| (?P<result>\w+) \|$", re.MULTILINE)
TEXT = (Path(__file__).parents[2] / "docs" / "rewards.md").read_text(encoding="utf-8")
ROWS = [(row["gold"], row["answer"], Reason(row["result"])) for row in _ROW.finditer(TEXT)]
ABOUT_THE_ANSWER_ALONE = {Reason.UNEVALUATED, Reason.UNPARSABLE, Reason.TOO_COMPLEX}


@pytest.mark.parametrize(("gold", "answer", "reason"), ROWS, ids=range(len(ROWS)))
def test_policy_row(gold, answer, reason):
    assert compare(gold=gold, answer=answer).reason is reason


def test_every_row_of_the_table_is_read():
    section = TEXT.split("\n## Policy\n")[1].split("\n### ")[0]
    assert len(ROWS) == sum(line.startswith("|") for line in section.splitlines()) - 2


# What a gold says is trusted: its chains, its nouns, its words and its base.
TRUSTED = re.compile(r"\*I|\d_\d|_\{16\}|=|\\approx|apples|Bob")
SYMMETRIC = [row for row in ROWS if not TRUSTED.search(row[0] + row[1])]


@pytest.mark.parametrize(("gold", "answer", "reason"), SYMMETRIC, ids=range(len(SYMMETRIC)))
def test_exact_decisions_are_symmetric(gold, answer, reason):
    there, back = compare_quick(gold=gold, answer=answer), compare_quick(gold=answer, answer=gold)
    decided = [result for result in (there, back) if result and result.reason not in ABOUT_THE_ANSWER_ALONE]
    assert len({result.score for result in decided}) <= 1


def test_gold_and_answer_cannot_be_swapped_by_position():
    with pytest.raises(TypeError):
        compare("7", "7")  # type: ignore[misc]
