"""Typesetting that carries no meaning is taken off before anything is compared."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rewards.extraction.boxes import closing_brace

# Signs that stand for exactly one ASCII or LaTeX spelling. Digits of other scripts are deliberately absent:
# NFKC would also turn 2⁵ into 25.
_SIGNS = str.maketrans(
    {
        "\u2212": "-",
        "\u2013": "-",
        "\u00d7": r"\times ",
        "\u22c5": r"\cdot ",
        "\u00b7": r"\cdot ",
        "\u00f7": r"\div ",
        "\u03c0": r"\pi ",
        "\u221e": r"\infty ",
        "\u221a": r"\sqrt ",
        "\u00b0": r"^\circ",
        "\u00b1": r"\pm ",
        "\u2264": r"\le ",
        "\u2265": r"\ge ",
        "\u2260": r"\ne ",
        "\u2248": r"\approx ",
        "\u2205": r"\emptyset ",
        "\u222a": r"\cup ",
        "\u2208": r"\in ",
        "\u2211": r"\sum ",
        "\u220f": r"\prod ",
        "\u222b": r"\int ",
        "\u00a0": " ",
        "\u202f": " ",
        "\u2009": " ",
        "\u3000": " ",
    }
)
_NO_MEANING = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits|nolimits)(?![A-Za-z])\.?|(?<!\\)\\!|&(?=\s*=)"
)
_GROUP_COMMA = re.compile(r",\\!\s*(?=[0-9]{3}(?![0-9]))")
_SPACES = re.compile(r"(?:(?<!\\)\\[,;: ]|~|\\q?quad(?![A-Za-z])|\\thinspace|\s)+")
_SPELLINGS = ((r"\langle", "("), (r"\rangle", ")"), (r"\varnothing", r"\emptyset"))
_FRACTIONS = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_PERCENT = re.compile(r"\\%|\\text\s*\{\s*(?:%|\\%|percent)\s*\}|(?<=\d)\s*(?:percent(?:age)?|pct)\b", re.IGNORECASE)
_WHOLE_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mathsf|mbox|hbox|bm|boldsymbol|underline"
    r"|emph|ensuremath|boxed|fbox)\s*\{([^{}]*)\}"
)
_DELIMITERS = ((r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"))
_APPROXIMATELY = re.compile(r"\\(?:approx|simeq)(?![A-Za-z])")
_NAME_ONLY = re.compile(r"\s*\\?[A-Za-z]+(?:_\w|_\{\w*\})?\s*")
_MATH_SHIFT = re.compile(r"(?<!\\)\$")
_INNER_BOX = re.compile(r"\\(?:boxed|fbox)(?=\s*\{)")
_DOUBLED_BACKSLASH = re.compile(r"\\\\(?=[A-Za-z])")


def illegal_characters(text: str) -> bool:
    """NUL and other controls, invisible and direction marks, and digits that are not 0-9."""
    if text.isascii():
        return any((ch < " " and ch not in "\t\n\r") or ch == "\x7f" for ch in text)
    return any(_illegal(ch) for ch in text)


def _illegal(ch: str) -> bool:
    kind = unicodedata.category(ch)
    return (kind[0] == "C" and ch not in "\t\n\r") or (kind[0] == "N" and not ch.isascii())


def without_invisible(text: str) -> str:
    """A gold answer without the invisible characters that an answer may not contain."""
    return text if text.isascii() else "".join(ch for ch in text if unicodedata.category(ch) != "Cf")


@lru_cache(maxsize=4096)
def clean(text: str) -> str:
    """One spelling for what is typeset alike; meaning (order, signs, brackets, letters' case) is kept."""
    text = _MATH_SHIFT.sub("", text.translate(_SIGNS))
    if r"\begin" not in text:
        text = _DOUBLED_BACKSLASH.sub(r"\\", text)
    text = _FRACTIONS.sub(r"\\frac", text)
    for spelling, usual in _SPELLINGS:
        text = text.replace(spelling, usual)
    text = _NO_MEANING.sub("", _GROUP_COMMA.sub(",", text))
    text = _PERCENT.sub("%", text).replace("{,}", ",").replace("{.}", ".")
    text = _SPACES.sub(" ", text).strip()
    return _peel(_INNER_BOX.sub("", _peel(_first_claim(text))))


def _first_claim(text: str) -> str:
    """``a \\approx b`` claims a, unless a is just the name of what b is."""
    first, *others = _APPROXIMATELY.split(text)
    return others[0] if others and _NAME_ONLY.fullmatch(first) else first


def _peel(text: str) -> str:
    """Take off math delimiters, wrappers around the whole, and closing punctuation until nothing changes."""
    before = None
    while text != before:
        before = text = text.strip()
        for opening, closing in _DELIMITERS:
            inner = text.removeprefix(opening).removesuffix(closing)
            if len(inner) == len(text) - len(opening) - len(closing) and opening not in inner:
                text = inner
        wrapped = _WHOLE_WRAPPER.fullmatch(text)
        text = wrapped.group(1) if wrapped else text
        if text.startswith("{") and closing_brace(text, 0) == len(text) - 1:
            text = text[1:-1]  # LaTeX prints no plain brace
        if text.endswith((".", ",", ";", "\\")):
            text = text[:-1]
    return text
