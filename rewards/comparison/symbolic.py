"""The one place that talks to math-verify, the symbolic engine. It is imported at first use (a second)."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from rewards.comparison.spotcheck import contradicted


def engine_equal(*, gold: str, answer: str) -> bool | None:
    """Whether the engine finds two delimited answers equal; None if it cannot read ``answer``.

    No time limit here: a caller in the main thread of a worker process has one (see ``worker``).
    """
    return _equal(_delimited(gold), _delimited(answer))


def find_in_text(text: str) -> str | None:
    """The answer the engine finds in free text, in its own normalised spelling; None if there is none."""
    strings = [found for found in _parse(text) if isinstance(found, str)]
    return strings[-1] if strings else None


def engine_equal_in_text(*, gold: str, text: str) -> bool | None:
    """``engine_equal`` with the engine's own search for an answer, on both sides (lenient mode)."""
    return _equal(gold, text)


def _delimited(text: str) -> str:
    return f"\\boxed{{{text}}}"


def _equal(gold: str, answer: str) -> bool | None:
    from math_verify import verify

    wanted, given = _parse_gold(gold), _parse(answer)
    if not given:
        return None
    equal = verify(wanted, given, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=False)
    return bool(equal) and not (wanted[:1] and contradicted(wanted[0], given[0]))


@lru_cache(maxsize=1024)
def _parse_gold(text: str) -> list[Any]:
    return _parse(text)


def _parse(text: str) -> list[Any]:
    from math_verify import parse

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of every call without its own timeout
    return list(parse(text, parsing_timeout=None))
