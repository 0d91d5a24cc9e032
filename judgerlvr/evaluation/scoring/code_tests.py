"""Tests of a LiveCodeBench problem: decoded behind the walls, run one at a time, compared outside.

The code never sees an expected output, so that no code can claim to have passed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from judgerlvr.evaluation.scoring.limits import Limits
from judgerlvr.evaluation.scoring.sandbox import run_python
from rewards.errors import InputError

# JSON of the same value is at most so much longer: an escaped letter has 12 characters, and blanks stand between.
LONGER = 16
DECODING = Limits(seconds=20, megabytes=4096, file_megabytes=512)
# The private tests are base64 of zlib of a pickle that holds JSON text.
_DECODER = """
import base64, pickle, sys, zlib
text = pickle.loads(zlib.decompress(base64.b64decode(sys.stdin.buffer.read())))
sys.stdout.write(text if isinstance(text, str) else __import__("json").dumps(text))
"""
# LiveCodeBench lets a program use these modules and their names without an import.
_MODULES = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random"),
    *("statistics", "itertools", "functools", "operator", "io", "sys", "json", "typing"),
)
# Names such as math.pow and operator.sub hide builtins, so that the builtins come last.
_PRELUDE = "".join(f"from {name} import *\n" for name in (*_MODULES, "builtins"))
_PRELUDE += f"import {', '.join(_MODULES)}\nsys.setrecursionlimit(50000)\n"
_FUTURE = re.compile(r"^[ \t]*from[ \t]+__future__[ \t]+import[^\n]*$", re.MULTILINE)
_CALL = """
_arguments = [json.loads(_line) for _line in sys.stdin.read().split("\\n") if _line.strip()]
_output, sys.stdout = sys.stdout, sys.stderr
_owner = Solution() if "Solution" in globals() else None
_result = (getattr(_owner, {name!r}) if _owner else globals()[{name!r}])(*_arguments)
_output.write(json.dumps(_result))
_output.flush()
"""


@dataclass(frozen=True)
class CodeTest:
    """One input with its expected output. Both are text."""

    given: str
    expected: str


def read_tests(meta: Mapping[str, Any], sandboxed: bool = True) -> list[CodeTest]:
    """Public and private tests of a problem, in the order of the file.

    Raises:
        InputError: a column holds no tests.
    """
    rows = [*_public(meta["public_test_cases"]), *_private(meta["private_test_cases"], sandboxed)]
    return [CodeTest(str(row["input"]), str(row["output"])) for row in rows]


def _public(text: str) -> list[dict[str, Any]]:
    found = _json(text)
    if not isinstance(found, list):
        raise InputError(
            "no JSON list of tests",
            "take the file of the revision that the benchmark's task names",
            field="public_test_cases",
        )
    return found


def _private(text: str, sandboxed: bool) -> list[dict[str, Any]]:
    found = _json(text)
    if found is None:
        done = run_python(_DECODER, text.encode(), DECODING, sandboxed)
        found = _json(done.output.decode("utf-8", "replace")) if done.failure is None else None
    if not isinstance(found, list):
        raise InputError("no tests can be decoded", "take the file of the named revision", field="private_test_cases")
    return found


def _json(text: str) -> Any:
    """The value of a JSON text, or None. Sampled code may nest too deeply, or write a number of too many digits."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def program_of(code: str, function: str | None) -> str:
    """The whole program: with a function name, arguments are read as JSON lines and the result is written as JSON."""
    # Python takes such an import at the top of a program alone.
    future = "".join(f"{line.strip()}\n" for line in _FUTURE.findall(code))
    return future + _PRELUDE + _FUTURE.sub("", code) + (_CALL.format(name=function) if function else "")


def same_output(found: str, expected: str, function: str | None) -> bool:
    """Whether an output is the expected one: equal JSON for a function, else equal lines of equal tokens."""
    found, expected = found.strip(), expected.strip()
    if function:
        return found == expected or _same_value(found, expected)
    # Lines are counted first, and split one by one, since code may write as much as the limit of a file.
    if found.count("\n") != expected.count("\n"):
        return False
    return all(map(_same_line, found.split("\n"), expected.split("\n")))


def _same_value(found: str, expected: str) -> bool:
    if len(found) > LONGER * len(expected) + LONGER:
        return False
    value = _json(found)
    return value is not None and bool(value == _json(expected))


def _same_line(found: str, expected: str) -> bool:
    theirs = expected.split()
    ours = found.split(maxsplit=len(theirs))
    return len(ours) == len(theirs) and all(a == b or _same_number(a, b) for a, b in zip(ours, theirs, strict=True))


def _same_number(ours: str, theirs: str) -> bool:
    try:
        return Decimal(ours) == Decimal(theirs)
    except InvalidOperation:
        return False
