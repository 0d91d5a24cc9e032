"""Words of the page for reasons and outcomes whose stored names say ``truncated`` of different things.

docs/glossary.md tells the meanings apart.
"""

from __future__ import annotations

REASONS = {"truncated": "unterminated box"}
OUTCOMES = {"truncated": "truncated, not correct"}


def reason_word(reason: str) -> str:
    """A reason of the grader as the page names it."""
    return REASONS.get(reason, reason)


def outcome_word(outcome: str) -> str:
    """An outcome of an evaluated or logged response as the page names it."""
    return OUTCOMES.get(outcome, outcome)
