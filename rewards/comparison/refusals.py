"""Which expressions leave work to the grader, and which would cost it too much."""

from __future__ import annotations

import re

from rewards.types import Reason

MAX_CHARACTERS = 2000
MAX_NESTING = 40
_MAX_LITERAL_DIGITS = 100
_MAX_EXPONENT = 1000
_MAX_OPERATORS = 200
_MAX_FRACTIONS = 40

_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mbox|textrm|operatorname)\*?\s*\{([^{}]*)\}")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_END = r"(?![A-Za-z])"

# Each class is a way of handing the problem back unworked. An answer may use a class only where the gold does.
_ALWAYS_WORK = re.compile(
    rf"\\(?:i*int|oint|sum|prod|coprod|lim|limsup|liminf|partial|bigcup|bigcap){_END}"
    r"|\\frac\s*\{\s*(?:\\mathrm\s*\{\s*)?d\b"
    r"|\b(?:Sum|Integral|Product|Limit|sum|integrate|product|limit)\s*\("
)
_INTEGER_WORK = re.compile(
    r"!(?!=)|\\(?:binom|dbinom|tbinom|choose|gcd|lcm|max|min|inf|sup|pmod|bmod|mod|lfloor|lceil|det|Pr|deg|dim"
    rf"|ker|arg){_END}|\\begin\s*\{{[vV]matrix\}}|\b(?:factorial|binomial|floor|ceil(?:ing)?|gcd|lcm|max|min|mod)\s*[({{]"
    r"|\\(?:operatorname|mathrm|text)\*?\s*\{\s*(?:gcd|lcm|max|min|mod|floor|ceil|rank|tr)\s*\}"
)
_TRIGONOMETRY = re.compile(r"\\?(?:arc)?(?:sin|cos|tan|cot|sec|csc)h?(?:\b|(?=[\d^_({\\]))")
_LOGARITHM = re.compile(r"\\?(?:log|ln|lg)(?:\b|(?=[\d^_({\\]))")
_RADICAL = re.compile(rf"\\sqrt{_END}|\bsqrt\b")
_POWER = re.compile(r"\^|\*\*")
_TOWER = re.compile(r"\^\s*(?:\{[^{}]*\^|\(?[^{}\s+\-*/)]+\s*\^)|\*\*\s*\(?[^()\s]*\*\*")

_FOR_CONSTANTS = (_INTEGER_WORK, _TRIGONOMETRY, _LOGARITHM, _TOWER)
_FOR_RATIONALS = (*_FOR_CONSTANTS, _RADICAL, _POWER)


def unevaluated(gold: str, answer: str, *, rational: bool) -> bool:
    """Whether ``answer`` uses an operation that it should have worked out, judged by what ``gold`` looks like.

    Integrals, sums, products and limits are refused beside any gold that has none. Beside a constant so are
    factorials and their like, functions of constants and power towers; beside a rational number also roots and
    powers. Both texts are cleaned.
    """
    classes: tuple[re.Pattern[str], ...] = (_ALWAYS_WORK,)
    if rational:
        classes += _FOR_RATIONALS
    elif is_constant(gold):
        classes += _FOR_CONSTANTS
    return any(kind.search(answer) and not kind.search(gold) for kind in classes)


def is_constant(text: str) -> bool:
    """Whether cleaned text has no free letters; e, i and words in text commands do not count."""
    return not re.search(r"(?![ei])[A-Za-z]", _COMMAND.sub("", _TEXT.sub("", text)))


def too_costly(text: str) -> Reason | None:
    """Refusal before parsing, by size, nesting and magnitudes alone; linear in the length of the text."""
    if len(text) > MAX_CHARACTERS or nesting(text) > MAX_NESTING or text.count(r"\frac") > _MAX_FRACTIONS:
        return Reason.TOO_COMPLEX
    if sum(map(text.count, "+-*/^!_=")) > _MAX_OPERATORS or re.search(rf"[0-9]{{{_MAX_LITERAL_DIGITS}}}", text):
        return Reason.TOO_COMPLEX
    exponents = re.findall(r"(?:\^|\*\*)\s*[{(]?\s*-?\s*([0-9]+)", text)
    big_factorial = re.search(r"[0-9]{4,}\s*!|![)}\]\s]*!", text) or (
        re.search(r"[)}\]]\s*!(?!=)", text) and re.search(r"\^|\*\*|[0-9]{4}", text)
    )
    if big_factorial or len(exponents) > 40 or any(int(number) > _MAX_EXPONENT for number in exponents):
        return Reason.TOO_COMPLEX
    nested = re.search(r"(?:\^|\*\*)\s*[{(]?[^{}()]{0,20}(?:\^|\*\*)\s*[{(]?[^{}()]{0,20}(?:\^|\*\*)", text)
    return Reason.TOO_COMPLEX if nested else None


def nesting(text: str) -> int:
    """Deepest level of brackets of any kind, counted without matching them."""
    depth = deepest = 0
    for ch in text:
        if ch in "{([":
            depth += 1
            deepest = max(deepest, depth)
        elif ch in "})]":
            depth -= 1
    return deepest
