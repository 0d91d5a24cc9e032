"""Gold answers as files have them: bare, in a box, after a mark, inside JSON text, with a unit in brackets."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from data.importing.faults import RowFault
from rewards.extraction.boxes import outer_boxes
from rewards.extraction.gold import all_of, any_of

# Keys under which an object holds the answer.
ANSWER_KEYS = ("ground_truth", "gold", "answer", "value", "target", "expected_answer", "final_answer")
_HASHES = re.compile(r"####(?!.*####)\s*(.+?)\s*$")
_MARKED = re.compile(r"(?:\bA\s*:|(?i:\banswer\s*(?:is\b\s*:?|\**:)))\s*\**\s*(?P<answer>[^\n]+?)\s*$")
_UNIT = re.compile(r"([-+]?\d[\d.,/]*)\s*\([A-Za-z][A-Za-z .%/-]*\)")
# A table of text writes the whole number 7 as 7.0.
_WHOLE = re.compile(r"([-+]?\d+)\.0")
_MATHS = re.compile(r"\\[A-Za-z]+|\$[^$]*\$")
_WORD = re.compile(r"[A-Za-z]{2,}")
# A bare answer in words has fewer words. A longer text is a worked solution.
LONGEST_WORDED = 16


def read_gold(value: Any, field: str) -> str:
    """The final answer in a gold column.

    Raises:
        RowFault: several answers, a value that is no answer, or a worked solution without a marked answer.
    """
    text = _plain(value, field)
    return marked_answer(text, field) if _looks_worked(text) else text


def marked_answer(text: str, field: str) -> str:
    """The answer of a worked solution: the last box, or the text after ``####`` or after "answer".

    Raises:
        RowFault: nothing marks an answer.
    """
    found = _find_marked(text)
    if found is None:
        problem = f"gold is a worked solution without a marked answer ({text[:40]!r}...)"
        raise RowFault(problem, "put the final answer into a column of its own, a box, or after ####", field)
    return found


def loses_unit(value: Any) -> bool:
    """Whether a gold is a number whose unit in brackets is left out, such as ``9 (apples)``."""
    return isinstance(value, str) and _UNIT.fullmatch(value.strip()) is not None


def _find_marked(text: str) -> str | None:
    # GSM8K and sets in the form of GSM8K mark the answer with four hashes at the end.
    if match := _HASHES.search(text):
        return match[1]
    boxes = outer_boxes(text)
    if boxes and boxes[-1].content:
        return boxes[-1].content.strip()
    # The full stop ends the sentence and is no part of the answer.
    if match := _MARKED.search(text.rstrip().rstrip(".")):
        return match["answer"].strip(" $*").rstrip(".") or None
    return None


def _looks_worked(text: str) -> bool:
    if "####" in text or "\\boxed" in text or "\\fbox" in text or _MARKED.search(text):
        return True
    return len(_WORD.findall(_MATHS.sub(" ", text))) > LONGEST_WORDED


def _plain(value: Any, field: str) -> str:
    """The value as text, taken out of lists of one, objects and JSON text."""
    value = _unwrapped(value, field)
    # Databases write numbers of a table as decimals.
    if isinstance(value, Decimal):
        value = f"{value.normalize():f}"
    if isinstance(value, float) and not math.isfinite(value):
        raise RowFault(f"gold is {value}", "write a finite answer", field)
    # pandas keeps whole numbers as floats where a column has gaps.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # To Python a bool is an int, and True is no answer to a problem.
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        kind = f"{len(value)} answers" if isinstance(value, list) else type(value).__name__
        remedy = 'write one answer as text or number, or {"any": [...]}, or {"all": [...]}'
        raise RowFault(f"gold is {kind}", remedy, field)
    text = str(value).strip()
    if match := _UNIT.fullmatch(text) or _WHOLE.fullmatch(text):
        return match[1]
    return text


def _unwrapped(value: Any, field: str) -> Any:
    # Other starts are left alone. [1, 2] may be an interval and {1, 2} a set, and both are answers.
    if isinstance(value, str) and value.strip()[:2] in ('{"', "{'", '["', "['"):
        value = parse_text(value)
    if isinstance(value, list) and len(value) == 1:
        return _unwrapped(value[0], field)
    if isinstance(value, Mapping):
        if set(value) in ({"any"}, {"all"}):
            return _several(value, field)
        names = [name for name in ANSWER_KEYS if value.get(name) not in (None, "")]
        return _unwrapped(value[names[0]], field) if names else value
    return value


def _several(value: Mapping[str, Any], field: str) -> str:
    """The gold of ``{"any": [...]}`` or ``{"all": [...]}``, as the grader reads several answers."""
    ((kind, answers),) = value.items()
    if not isinstance(answers, list) or not answers:
        raise RowFault(f"gold {kind!r} holds no list of answers", 'write {"any": ["1", "2"]}', field)
    read = [_plain(answer, field) for answer in answers]
    return any_of(read) if kind == "any" else all_of(read)


def parse_text(text: str) -> Any:
    """The list or object that a text holds as JSON or as a Python literal, else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    try:
        return ast.literal_eval(text)
    # literal_eval raises each of the four errors, the last two for text nested too deeply.
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
