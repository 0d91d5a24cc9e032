"""Text that a template put around many problems: a prefix or a suffix that rows of one file share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Tokens = Sequence[str]
# A prefix or suffix counts as a template above this share of the rows, and from this number of rows.
SHARE, ROWS = 0.2, 20
# The share may be estimated on so many rows, evenly spaced.
SAMPLE = 20_000


@dataclass(frozen=True)
class TemplateText:
    """Every shared prefix, and every shared suffix from its end on, as tuples of tokens."""

    prefixes: frozenset[tuple[str, ...]]
    suffixes: frozenset[tuple[str, ...]]

    def strip(self, tokens: Tokens) -> Tokens:
        """The tokens without their longest shared prefix and suffix. A text that is nothing else stays whole."""
        start = _longest(tokens, self.prefixes)
        end = _longest(tokens[::-1], self.suffixes)
        return tokens[start : len(tokens) - end] if start + end < len(tokens) else tokens

    def shown(self) -> tuple[str, str]:
        """The longest shared prefix and suffix as text."""
        prefix = max(self.prefixes, key=len, default=())
        suffix = max(self.suffixes, key=len, default=())
        return " ".join(prefix), " ".join(reversed(suffix))


def find_template(rows: Sequence[Tokens], total: int | None = None) -> TemplateText:
    """Prefixes and suffixes that more than ``SHARE`` and at least ``ROWS`` of the rows share.

    Where ``rows`` are a sample, ``total`` is the number of all rows.
    """
    # In a sample of the rows the least number of rows shrinks in proportion.
    least = ROWS * len(rows) / max(total or 0, len(rows), 1)
    return TemplateText(_shared(rows, least), _shared([row[::-1] for row in rows], least))


def _shared(rows: Sequence[Tokens], least: float) -> frozenset[tuple[str, ...]]:
    """All prefixes of enough rows, found length by length among the rows that share the shorter prefix."""
    found: set[tuple[str, ...]] = set()
    groups: Iterable[tuple[tuple[str, ...], list[Tokens]]] = [((), list(rows))]
    while groups:
        longer = []
        for prefix, members in groups:
            depth = len(prefix)
            counts = Counter(row[depth] for row in members if len(row) > depth)
            for token, count in counts.items():
                if count >= least and count > SHARE * len(rows):
                    # Only rows that share the shorter prefix can share the longer prefix.
                    alike = [row for row in members if len(row) > depth and row[depth] == token]
                    longer.append(((*prefix, token), alike))
        found.update(prefix for prefix, _ in longer)
        groups = longer
    return frozenset(found)


def _longest(tokens: Tokens, shared: frozenset[tuple[str, ...]]) -> int:
    length = 0
    while length < len(tokens) and tuple(tokens[: length + 1]) in shared:
        length += 1
    return length
