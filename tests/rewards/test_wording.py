"""Nouns and verbs that agree with a number, and no message that writes a plural behind a number by hand."""

import ast
import re
from pathlib import Path

import pytest

from rewards.wording import agreeing, counted

ROOT = Path(__file__).parents[2]
NOUNS = "rows|problems|samples|golds|files|faults|warnings|nodes|models|texts|candidates|steps|prompts|ids"


@pytest.mark.parametrize(("number", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1000, "1000 rows")])
def test_a_noun_agrees_with_its_number(number, said):
    assert counted(number, "row") == said


def test_a_verb_agrees_with_its_number():
    assert [agreeing(number, "is", "are") for number in (0, 1, 2)] == ["are", "is", "are"]


def numbers_before_a_plural(source):
    """Expressions of f-strings that are a call of ``len`` or ``sum`` and stand before a plural."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                inside = getattr(value, "value", None)
                called = getattr(getattr(inside, "func", None), "id", "")
                if called in ("len", "sum") and re.match(rf" ({NOUNS})\b", str(getattr(after, "value", ""))):
                    yield ast.unparse(inside)


def test_the_check_finds_a_planted_plural():
    assert list(numbers_before_a_plural('f"{len(a)} rows, {len(b)} long rows"')) == ["len(a)"]


@pytest.mark.parametrize("folder", ["judgerlvr", "data", "rewards"])
def test_a_count_in_a_message_agrees_with_its_noun(folder):
    found = [
        f"{path.relative_to(ROOT)}: {what}"
        for path in (ROOT / folder).rglob("*.py")
        for what in numbers_before_a_plural(path.read_text())
    ]
    assert found == []
