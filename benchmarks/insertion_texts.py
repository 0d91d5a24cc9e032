"""What rules for changed answers share: a text without what prints nothing, and the form of a rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.rewards_insertions import Change

SPACES = re.compile(
    r"\\[,;:! ]|\\q?quad\b|~|\s+|(?<!\\)\$|\\(?:left|right|big|Big|bigl|bigr|displaystyle|limits)(?![A-Za-z])\.?"
    r"|\\[()]|\\[\[\]](?!\d)|`|\*\*"
)
WRAPPERS = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|textnormal|textsc|mbox|hbox|emph|textup|mathrm|mathbf|mathit|mathsf"
    r"|mathtt|operatorname\*?|boldsymbol|bm|ensuremath|underline|boxed|fbox|bf|rm|it|bfseries|itshape|Large|large|huge"
    r"|normalsize|small|tiny|LARGE|Huge|mathnormal|mathop)(?![A-Za-z])"
)
_COLOURS = re.compile(r"\\(?:text)?color(?:box)?\s*\{[^{}]*\}|\\[hv]space\s*\{[^{}]*\}|\\tag\s*\{[^{}]*\}")


def bare(text: str) -> str:
    """A text without what prints nothing: spaces, sizes, fonts, colours, braces and closing punctuation."""
    text = WRAPPERS.sub("", SPACES.sub("", _COLOURS.sub("", text)))
    return re.sub(r"[{}]", "", text).rstrip(".,;\u3002")


def without(pattern: str, *, put: str = "") -> Callable[[Change], bool]:
    """Whether both texts are the same once the pattern is taken out of both."""
    taken = re.compile(pattern)
    return lambda change: taken.sub(put, bare(change.text)) == taken.sub(put, bare(change.pair.answer))


@dataclass(frozen=True)
class Rule:
    """Words of the policy, and whether the change belongs to them."""

    row: str
    covers: Callable[[Change], bool]
