r"""Further rules of ``insertion_rules``, each for one sign at one place: a factor 1, a plus, an article, a unit."""

from __future__ import annotations

import re

from benchmarks.insertion_texts import SPACES, WRAPPERS, Rule, bare, without
from benchmarks.rewards_insertions import Change

_OPERATOR = re.compile(r"\\(?:int|sum|prod|lim)(?:\s*[_^]\s*(?:\{[^{}]*\}|\w))*\s*$")
_COMMAND = re.compile(r"\\(?!cdot|times|,|;|int|sum|prod|lim)[A-Za-z]+\s*$")
_ZERO_SIDE = re.compile(r"(?P<sign>=|\\leq?|\\geq?|<|>)\s*0\s*$")
_ZERO_MATRIX = re.compile(r"\s*\\begin\{\w+\}[\s0&\\]*\\end\{\w+\}\s*")
_PLAIN_NUMBER = re.compile(r"(?:Theareais)?(-?\d[\d.]*?)\.?(?:\^\\circ)?\.?")
_CHOICE = re.compile(r"^\(?[A-J]\)?[).:]*\s*")


def _factor_one(change: Change) -> bool:
    """A numeral 1 as a factor of its own, where the numeral prints together with no other."""
    before, after = change.before, change.after.lstrip(" \\,")
    if change.inserted != "1" or before[-1:].isdigit() or before.rstrip()[-1:] in (".", "^", "_", "/"):
        return False
    follows = after[:1].isalpha() or after[:1] in ("(", "{", "}", "=", "")
    return follows and (_COMMAND.search(before) is None or _OPERATOR.search(before) is not None)


def _unary_plus(change: Change) -> bool:
    """A plus sign in front of what an operator takes, or in front of a minus sign."""
    operator = _OPERATOR.search(change.before) is not None
    return change.inserted == "+" and (operator or re.match(r"\s*[-\u2212]", change.after) is not None)


def _zero_in_front(change: Change) -> bool:
    """A zero before a sign, before a fraction of one sign, or before the digits of a numeral."""
    if change.inserted != "0":
        return False
    before, after = change.before.rstrip(" ${"), change.after.lstrip()
    opens = before == "" or before.endswith(("=", "is", ",", r"\lfloor"))
    joined = change.after[:1].isdigit() and not re.search(r"[\d.]$", change.before)
    fraction = re.match("[\u00bc-\u00be]", after) is not None and not before[-1:].isdigit()
    return joined or fraction or (opens and re.match(r"[-\u2212\u2013]|\\pm", after) is not None)


def _minus_before_both(change: Change) -> bool:
    before = change.before.rstrip(" ${")
    opens = before == "" or before.endswith("=")
    in_front = opens and change.after.lstrip().startswith((r"\pm", "\u00b1"))
    return change.inserted == "-" and (in_front or before.endswith((r"\pm", "\u00b1")))


def _even_function(change: Change) -> bool:
    """Any sign of the argument of a cosine or of an absolute value."""
    sign = change.inserted in (r"\pm ", "-")
    return sign and re.search(r"(?:\\cos|\\lvert|\|)\s*$", change.before) is not None


def _article(change: Change) -> bool:
    """An article in front of words, at the beginning of a member or of the whole."""
    if change.inserted == "A":
        return change.before.rstrip().endswith(",") and change.after.lstrip()[:1].isalpha()
    gold = re.sub(r"^the\s*", "", WRAPPERS.sub("", change.pair.gold).strip("{} ").casefold())
    text = _CHOICE.sub("", WRAPPERS.sub("", change.text).strip("{} .$\\[]"))
    said = re.sub(r"^the\s*", "", text.casefold())
    return said == gold or (gold in ("dne", "does not exist") and said == "does not exist")


def _choice_alone(change: Change) -> bool:
    """The letter of a choice without a bracket, or the text of a choice without the letter."""
    gold, text = (WRAPPERS.sub("", side).strip("{}(). :$") for side in (change.pair.gold, change.text))
    return gold == text or _CHOICE.sub("", gold) == text


def _unit_deleted(change: Change) -> bool:
    """What is left is the number of the gold, whose unit may be left out."""
    left = _PLAIN_NUMBER.fullmatch(bare(change.text))
    number = re.search(r"\d[\d.]*", change.pair.gold)
    unit = re.fullmatch("C|[a-z]{1,2}[\u00b2\u00b3]?|euros|pounds", change.deleted) is not None
    return unit and left is not None and number is not None and left[1] == number[0]


def _unit_joined(change: Change) -> bool:
    """An ampere behind the unit of an area, where the gold is a plain number."""
    return change.inserted == "A" and re.search("[\u00b2\u00b3].?$", change.before) is not None


def _unit_added(change: Change) -> bool:
    """A unit of length behind the whole of a plain decimal, where the gold has no unit."""
    numeral = re.fullmatch(r"[\d.]+", bare(change.before)) is not None and not bare(change.after)
    return change.inserted == r"\text{ cm }" and numeral and re.search(r"\\text|[a-z]{2}$", change.pair.gold) is None


def _primed_name(change: Change) -> bool:
    """A prime at the variable of an inequality, where the gold is an interval and names none."""
    gold = re.sub(r"\\[A-Za-z]+(?:\{R\})?", "", change.pair.gold)
    return change.inserted == "'" and not re.search(r"[A-Za-z]", gold) and change.before[-1:].isalpha()


def _zero_of_a_magnitude(change: Change) -> bool:
    million = "million" in change.inserted
    return million and re.search(r"(?<![\d.])0\.?\s*$", change.before) is not None


def _multiple_of_nothing(change: Change) -> bool:
    """A factor in front of one side whose other side is 0: any factor of an equation, a positive one of others."""
    found = _ZERO_SIDE.search(change.after)
    if found is None or bare(change.before) or change.inserted not in ("7", "1", "-"):
        return False
    return change.inserted != "-" or found["sign"] == "="


def _zero_matrix(change: Change) -> bool:
    factor = change.inserted in ("7", "0", "-", "1", r"\pi ")
    return factor and not bare(change.before) and _ZERO_MATRIX.fullmatch(change.after) is not None


def _still_near(change: Change) -> bool:
    r"""A digit behind ``\approx`` that leaves the decimal within one percent of the value before the sign."""
    parts = re.split(r"\\approx|\u2248", change.text)
    if len(parts) != 2 or "\\approx" not in change.before or not change.inserted.isdigit():
        return False
    old = re.split(r"\\approx|\u2248", change.pair.answer)[-1]
    numbers = [re.sub(r"[^\d.]", "", SPACES.sub("", side)).rstrip(".") for side in (parts[1], old)]
    return abs(float(numbers[0]) - float(numbers[1])) < 0.005 * float(numbers[1])


def _small_factorial(change: Change) -> bool:
    return change.inserted == "!" and re.search(r"(?<!\d)[12](?:\\right|\\)?\s*$", change.before) is not None


def _all_reals(change: Change) -> bool:
    return r"\mathbb{R}" in change.pair.gold and bare(change.text).casefold() in ("allreal", "allreals")


def _second_colon(change: Change) -> bool:
    return change.inserted == ":" and bare(change.before).endswith((":", "is"))


def _row_mark(change: Change) -> bool:
    """A length behind the end of a row, or the end of the last row."""
    marks = re.compile(r"\\\\\s*\[-?[\d.]*pt\]|\\\\\s*(?=\\end)|\\\\!?$")
    sides = [bare(marks.sub(" ", text)).replace(r"\\", "") for text in (change.text, change.pair.answer)]
    return sides[0] == sides[1]


SMALL_RULES = (
    Rule("expressions: symbolically equal", _factor_one),
    Rule("expressions: symbolically equal", _small_factorial),
    Rule("leading zeros and a plus sign", _unary_plus),
    Rule("leading zeros and a plus sign", _zero_in_front),
    Rule("plus-minus is both values", _minus_before_both),
    Rule("plus-minus is both values", _even_function),
    Rule("words that say the same", _article),
    Rule("words that say the same", _all_reals),
    Rule("text: case and wrapper do not count", _second_colon),
    Rule("multiple choice", _choice_alone),
    Rule("units: may be left out", _unit_deleted),
    Rule("units: may be left out", _unit_joined),
    Rule("units: may be left out", _unit_added),
    Rule("units in other spellings", without(r"(?<=[a-z])[-.](?=[a-z]+\^)")),
    Rule("remainder", without(r"(?<=r)\.")),
    Rule("the name is free where the gold has none", _primed_name),
    Rule("magnitude words count", _zero_of_a_magnitude),
    Rule("equations: proportional ones are equal", _multiple_of_nothing),
    Rule("a scalar before a matrix multiplies each entry", _zero_matrix),
    Rule("an approximation must be within one percent", _still_near),
    Rule("prints nothing", _row_mark),
    Rule("prints nothing", without(r"\\\\[!\[\]]?$|\^(?=\\prime)")),
    Rule("bases in other spellings", without(r"in(?=base)")),
)
