"""The unit after (or the currency before) a number, in one spelling; words that change the number are no units."""

from __future__ import annotations

import re

# Words that deny, hedge or compute: "7 or 8", "7 is wrong", "7 squared", "7 less than".
_NO_UNIT = re.compile(
    r"\b(?:or|and|not|no|nor|maybe|perhaps|possibly|either|neither|wrong|false|incorrect|approximately|"
    r"about|around|almost|minus|plus|times|divided|over|squared|cubed|factorial|negative|mod|modulo|"
    r"base|more|less|than|least|most|under|below|above|except|without|half|third|quarter|one|two|"
    r"three|four|five|six|seven|eight|nine|ten|zero|is|are|isn|to|from|if|unless)\b"
)
_MAGNITUDES = {
    "dozen": 12,
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_SAME_UNIT = {
    name: group[0]
    for group in (
        ("m", "meter", "metre"),
        ("cm", "centimeter", "centimetre"),
        ("mm", "millimeter", "millimetre"),
        ("km", "kilometer", "kilometre"),
        ("in", "inch", "inche"),
        ("ft", "foot", "feet"),
        ("s", "sec", "second"),
        ("min", "minute"),
        ("h", "hr", "hour"),
        ("g", "gram"),
        ("kg", "kilogram"),
        ("l", "liter", "litre"),
        ("degree", "deg"),
        ("dollar", "usd"),
        ("euro", "eur"),
    )
    for name in group
}
_POWERS = {"square": "^2", "sq": "^2", "cubic": "^3", "cu": "^3"}
_CURRENCIES = {r"\$": "dollar", "$": "dollar", r"US\$": "dollar", "€": "euro", r"\euro": "euro", "£": "pound"}
_CURRENCIES |= {r"\pounds": "pound"}
_SIGN = "|".join(map(re.escape, sorted(_CURRENCIES, key=len, reverse=True)))
_BEFORE = re.compile(rf"(?P<minus>[-+]?)\s*(?P<sign>{_SIGN})\s*(?=[-+]?(?:[0-9.]|\\frac))")
_AFTER = re.compile(rf"(?<=[0-9])\s*(?P<sign>{_SIGN})$")
_SHORT_UNITS = r"(?:[ckm]?m|mph|k?g|ft|in|hr?|s|lbs?)"
_UNIT = re.compile(
    r"(?P<number>.*[0-9})])(?P<unit>(?:\s*\\(?:text|textbf|textrm|textnormal|mathrm|mbox|operatorname)\s*\{[^{}]*\}"
    r"|\s*\^\s*\{?\s*\\circ\s*\}?(?:\s*[CF]\b)?"
    rf"|\s+[A-Za-z]{{3,}}(?:\s+[A-Za-z]{{2,}}){{0,3}}\.?|\s*{_SHORT_UNITS})(?:\s*\^\s*\{{?[23]\}}?)?)",
    re.DOTALL,
)
_MOST_WORDS = 5


def split_unit(text: str) -> tuple[str, str, int]:
    """``(number, unit, factor)`` of cleaned text; unit "" and factor 1 where nothing like a unit follows.

    ``7 million dollars`` is ("7", "dollar", 10**6); ``\\$7`` is ("7", "dollar", 1).
    """
    currency = ""
    for place in (_BEFORE, _AFTER):
        if match := place.search(text) if place is _AFTER else place.match(text):
            currency = _CURRENCIES[match["sign"]]
            text = text[: match.start()] + (match["minus"] if place is _BEFORE else "") + text[match.end() :]
    match = _UNIT.fullmatch(text)
    if match is None:
        return text, currency, 1
    words = _words(match["unit"])
    if words is None:
        return text, "", 1
    factor = 1
    while words and words[0] in _MAGNITUDES:
        factor *= _MAGNITUDES[words.pop(0)]
    return match["number"].strip(), " ".join(words) or currency, factor


def _words(unit: str) -> list[str] | None:
    """Canonical words of a unit, or None if it is not one."""
    if re.search(r"\\circ", unit):
        return ["degree", *re.findall(r"[CF]\b", unit)]
    exponent = re.search(r"\^\s*\{?([23])\}?\s*$", unit)
    body = unit[: exponent.start()] if exponent else unit
    body = re.sub(r"^\s*\\[a-z]+\s*\{([^{}]*)\}\s*$", r"\1", body)
    words = re.findall(r"[a-z]+", body.casefold())
    if len(words) > _MOST_WORDS or _NO_UNIT.search(body.casefold()) or re.search(r"[0-9=\\!+*]", body):
        return None
    power = "^" + exponent[1] if exponent else "".join(_POWERS.get(word, "") for word in words)
    names = [_SAME_UNIT.get(_singular(word), _singular(word)) for word in words if word not in _POWERS]
    return [*names[:-1], names[-1] + power] if names else []


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 2 and word.endswith("s") else word


def same_unit(first: str, second: str) -> bool:
    """Equal, or one is left out; plain degrees may be degrees of either scale."""
    if not first or not second or first == second:
        return True
    return {first, second} in ({"degree", "degree C"}, {"degree", "degree F"})
