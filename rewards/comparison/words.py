"""Answers in words: lead-ins that say nothing, folding, and phrases that mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rewards.comparison.items import Item
from rewards.wordlists import words

# Lead-ins, longest first where read. Nothing in this table denies, hedges or counts.
_LEAD_INS = (
    "the final answer is", "the correct answer is", "the answer is", "the answers are", "final answer is",
    "answer is",
    "answers are", "the final answer", "final answer", "the answer", "answer", "answers", "ans", "the solutions are",
    "the solution is", "solutions are", "all solutions are", "all solutions", "the solutions", "solutions",
    "solution",
    "the solution set is", "solution set", "the value is", "the result is", "the values are", "value",
    "result", "it is", "it will be",
    "we get", "we have", "so", "thus", "therefore", "hence", "is", "are", "equals", "total", "the total is",
    "there are",
    "there is", "our answer is", "my answer is", "the total number is", "exactly", "a total of", "the exact value is",
    "the correct option is", "the correct choice is", "correct option", "correct answer",
    "the correct option",
    "the probability is", "the area is", "the sum is", "the number is", "the length is", "yes the answer is",
)  # fmt: skip
LEAD_INS = sorted((tuple(phrase.split()) for phrase in _LEAD_INS), key=len, reverse=True)
_TRAILERS = frozenset(("in total", "in all", "total", "altogether", "overall", "only", "exactly"))
_LEADING = frozenset(["only", "the", "a", "an", "on", "in", "at"])
_SINGULAR = {"solutions": "solution", "roots": "root", "values": "value", "numbers": "number", "answers": "answer"}
_SAME = {
    ("infinite",): "infinitely many", ("infinitely", "many"): "infinitely many",
    ("infinite", "solution"): "infinitely many",
    ("infinitely", "many", "solution"): "infinitely many", ("dne",): "does not exist", ("none",): "none",
    ("no", "such", "solution"): "no solution", ("there", "is", "no", "solution"): "no solution",
    ("solution", "does", "not", "exist"): "no solution", ("all", "real", "number"): "all reals",
    ("all", "reals"): "all reals",
    ("all", "real"): "all reals", ("all", "real", "x"): "all reals",
    ("all", "integer"): "all integers", ("all", "integers"): "all integers", ("t",): "t",
    ("limit", "does", "not", "exist"): "does not exist",
}  # fmt: skip
_ORDINALS = ("st", "nd", "rd", "th")
# Names of what is asked, and adjectives that belong to such names.
ASKED_NAMES = frozenset(
    words(
        "answer answers ans result results solution solutions value values number numbers sum product quotient",
        "ratio probability chance area perimeter circumference volume length width height distance radius diameter",
        "angle measure degree degrees slope intercept price cost costs profit amount rate speed time percentage",
        "percent temperature fraction point vertex center centre line interval set root roots equation polynomial",
        "function expression matrix vector option choice statement ways way possibilities pairs count mean average",
        "median mode range minimum maximum smallest largest least greatest smallest biggest possible required desired",
        "requested asked missing final correct right exact complete full best simplified simplest only such form units",
        "unit integer integers digits years hours minutes seconds dollars problem question",
    )
)
_PUNCTUATION = frozenset(".,;:!'\"-")
_CHOICE_LABELS = frozenset(("option", "choice", "answer", "part", "statement"))
# Texts of a choice that deny the other choices.
_NONE_OF_THEM = frozenset(
    ("noneofthese", "noneoftheabove", "noneofthose", "neither", "notenoughinformation", "cannotbedetermined")
)
# Words that make the text beside a choice letter more than that choice's text.
_HEDGES = frozenset(
    words(
        "or and not but maybe perhaps possibly either neither nor unless except wrong incorrect false",
        "alternatively both none isn't isn n't never instead",
    )
)


def without_lead_in(items: Sequence[Item]) -> Sequence[Item]:
    """``items`` without a phrase of the closed table at the beginning and the colon after that phrase."""
    while items and (items[0].kind == "word" or (items[0].kind == "letter" and items[0].text)):
        words = [item.value.casefold() for item in items[:6]]
        phrase = next((phrase for phrase in LEAD_INS if _starts(items, words, phrase)), None)
        if phrase is None:
            return items
        items = items[len(phrase) :]
        while items and items[0].is_(":", ",", "="):
            items = items[1:]
    return items


def without_trailer(items: Sequence[Item]) -> Sequence[Item]:
    """``items`` without words of the closed table at the end, such as "in total"."""
    while len(items) > 1 and items[-1].kind == "word":
        tail = [item.value.casefold() for item in (items[-2:] if items[-2].kind == "word" else items[-1:])]
        sizes = [size for size in (2, 1) if size <= len(tail) and size < len(items)]
        size = next((size for size in sizes if " ".join(tail[-size:]) in _TRAILERS), 0)
        if not size or items[-size - 1].is_("("):
            break
        items = items[:-size]
    return items


def _starts(items: Sequence[Item], words: Sequence[str], phrase: tuple[str, ...]) -> bool:
    size = len(phrase)
    # A lead-in with nothing behind is itself the answer.
    if len(items) <= size or tuple(words[:size]) != phrase:
        return False
    return all(item.kind in ("word", "letter") for item in items[:size])


def folded(items: Sequence[Item]) -> tuple[str, ...] | None:
    """Folded words of items that are nothing but words, letters, numerals and punctuation; None for all others."""
    words: list[str] = []
    if any(item.is_("-") and after.kind == "num" for item, after in pairwise(items)):
        return None  # a sign of the numeral, and no mark between words
    if not any(item.kind == "word" or item.text for item in items) and any(item.kind == "sign" for item in items):
        return None
    for at, item in enumerate(items):
        if at > 1 and item.value in _ORDINALS and items[at - 1].kind == "num" and not item.spaced:
            continue  # March 4th is March 4
        if item.kind in ("word", "num"):
            words.append(item.value.casefold().rstrip(".") or item.value)
        elif item.kind == "letter":
            words.append(item.value.casefold() if item.text and len(items) > 1 else item.value)
        elif not (item.kind == "sign" and item.value in _PUNCTUATION and (item.text or item.value in ".-'")):
            return None
    if len(words) > 1 and all(item.kind == "letter" and not item.text for item in items):
        words = ["".join(words).casefold()]
    while len(words) > 1 and words[0] in _LEADING:
        words = words[1:]
    words = [_SINGULAR.get(word, word) for word in words]
    # 5 R 2 and 5 remainder 2 are the same answer.
    words = ["r" if word in ("remainder", "rem", "R") else word for word in words]
    return tuple(_SAME[tuple(words)].split()) if tuple(words) in _SAME else tuple(words)


def is_hedged(items: Sequence[Item], letter: str) -> bool:
    """Whether the text beside a choice letter offers another choice, or takes the choice back."""
    said = " ".join(item.value.casefold() for item in items if item.kind in ("word", "letter"))
    if said.replace(" ", "") in _NONE_OF_THEM:
        return False
    for item in items:
        if item.value.casefold() in _HEDGES:
            return True
        if item.kind == "letter" and item.value.isupper() and item.value != letter and item.text:
            return True
    return any(
        items[at].is_("(") and items[at + 1].kind == "letter" and items[at + 2].is_(")") for at in range(len(items) - 2)
    )


def is_choice_label(item: Item) -> bool:
    """Whether the item is a word such as "Option" before a choice letter."""
    return item.kind == "word" and item.value.casefold() in _CHOICE_LABELS
