r"""Which row of the policy covers a change of a paid answer that is still paid, decided by code.

Each rule has words of ``docs/rewards.md`` and a predicate. A predicate undoes what its row allows, on both texts, and
compares the rest, or evaluates both texts by the second grader, which shares no code with the comparison.
"""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise

from benchmarks.insertion_small_rules import SMALL_RULES
from benchmarks.insertion_texts import SPACES, WRAPPERS, Rule, bare, without
from benchmarks.rewards_insertions import Change
from rewards.auditing.floating_point import CannotRead, value
from rewards.auditing.second_grader import second_opinion

_NUMERAL = re.compile(r"\d[\d.]*|\.\d+")
_RELATION = re.compile(r"=|\\in(?![a-z])|\\approx(?![a-z])|<|>|\\[lg]eq?(?![a-z])|\\equiv(?![a-z])|\\to(?![a-z])")
_LETTER_GOLD = re.compile(r"(?:\\(?:text|textbf|mathrm)\{)?\(?([A-Ja-j])\)?\}?(?:[.:)].*)?", re.DOTALL)
_SEPARATOR = re.compile(r"\\text\{[^{}]*\b(?:or|and)\b[^{}]*\}|\b(?:or|and)\b|\\lor|[,;](?![^()]*\))")


def _values(text: str) -> list[str | Fraction]:
    """A text cut at its numerals, numerals as values."""
    cut: list[str | Fraction] = []
    at = 0
    for found in _NUMERAL.finditer(text):
        try:
            cut += [text[at : found.start()], Fraction(found[0].rstrip("."))]
        except ValueError:
            return [text]
        at = found.end()
    return [*cut, text[at:]]


def _layout(change: Change) -> bool:
    return bare(change.text) == bare(change.pair.answer)


def _same_numerals(change: Change) -> bool:
    """Leading and trailing zeros, and a point that closes a numeral."""
    sides = [[bare(text), SPACES.sub("", text)] for text in (change.text, change.pair.answer)]
    return change.inserted in ("0", ".") and any(
        _values(one) == _values(other) for one, other in zip(*sides, strict=True)
    )


def _in_name(change: Change) -> bool:
    """The change stands before the first sign of a relation of its member, and the gold has no name, or loses it."""
    before, after = _outside_brackets(change.before), change.inserted + change.after
    if _RELATION.search(before) or not _RELATION.search(after):
        return False
    gold = re.sub(r"\\begin\{cases\}.*", "", change.pair.gold, flags=re.DOTALL)
    first = change.deleted != "" and re.match(r"\s*=", after) is not None and not bare(before)
    return not _RELATION.search(gold) or first


def _outside_brackets(text: str) -> str:
    """The member at the end of a text, without what stands in brackets, open ones included."""
    text = _SEPARATOR.split(text)[-1]
    while (shorter := re.sub(r"\([^()]*\)|\{[^{}]*\}|\[[^\[\]]*\]", "", text)) != text:
        text = shorter
    return re.split(r"[(\[{]", text)[0]


def _sides(text: str) -> list[str]:
    return [side for side in re.split(r"&?=|\\implies|\\Rightarrow|\\approx", text) if side.strip(" $&{}\\")]


def _in_words(change: Change) -> bool:
    return re.search(r"\\text|or|and|maybe", change.inserted) is not None


def _equal_value(change: Change) -> bool:
    """Each cell between signs of structure has the same value as the cell of the answer, or the same text."""
    if _in_words(change):
        return False
    # The second grader drops a name, so that a gold with a name is compared cell by cell.
    named = _RELATION.search(change.pair.gold) is not None
    if not named and second_opinion(gold=change.pair.gold, answer=change.text) is True:
        return True
    cells = [_STRUCTURE.split(text) for text in (change.text, change.pair.answer)]
    return len(cells[0]) == len(cells[1]) and all(map(_same_cell, *cells))


_STRUCTURE = re.compile(
    r"(\\\\|&|,|;|=|<|>|:|\\(?:le|leq|leqslant|ge|geq|geqslant|ne|neq|in|cup|cap|setminus|equiv|pmod|to|approx|mid"
    r"|implies|Rightarrow|ldots|lvert|rvert)(?![a-z])|\\(?:begin|end)\{\w+\}(?:\{[^{}]*\})?|\\text\{[^{}]*\}"
    r"|\\[{}]|\||[\[\]]|\b(?:or|and)\b)"
)


def _same_cell(one: str, other: str) -> bool:
    left, right = (
        re.sub(r"\\pm(?=\s*[+\-]?\s*0)|(?<=[12])!(?!\d)|(?<!\d)(?<=[01])!", "", text) for text in (one, other)
    )
    if bare(left) == bare(right) or _values(bare(left)) == _values(bare(right)):
        return True
    # The second grader knows no Greek letters.
    left, right = (_unpaired(_periodic(text.replace(r"\theta", "t"))) for text in (left, right))
    return second_opinion(gold=right, answer=left) is True or _inner_value(left, right)


def _unpaired(cell: str) -> str:
    """A cell without a bracket that opens or closes in another cell."""
    cell = re.sub(r"\\left|\\right", "", cell).strip(" $")
    lost = cell.count("(") - cell.count(")")
    return cell.lstrip("(") if lost > 0 else cell.rstrip(")") if lost < 0 else cell


def _periodic(text: str) -> str:
    """Periods of decimals written out to more places than the second grader tells apart."""
    return re.sub(r"(\d*\.\d*)\\overline\{(\d+)\}", lambda found: found[1] + found[2] * 12, text)


def _inner_value(left: str, right: str) -> bool:
    """The same once a factor 1 beside a symbol or a bracket, or a plus sign in front, is taken out."""
    taken = [
        re.sub(
            r"(?<=!)1$|(?<=[{(])0(?=-)|(?<![\d.^_!])1(?![\d.!/^])\s*(?:\\cdot|\\times|\*)?\s*|(?<![\w)}])\+|(?<=\^)\+|(?:\\cdot|\\times|\*)(?![a-z])",
            "",
            re.sub(r"\\sqrt(?=1(?!\d)|\{1\})", "", SPACES.sub("", text)),
        )
        for text in (left, right)
    ]
    return taken[0] == taken[1]


def _both_signs(change: Change) -> bool:
    """The two readings of a sign of plus-minus give the members of the gold, or each reading is the answer."""
    if PLUS_MINUS not in change.text:
        return False
    readings = [Change(change.pair, change.before, sign, change.deleted, change.after) for sign in "+-"]
    if change.inserted == r"\pm " and all(_equal_value(one) or _true_chain(one) for one in readings):
        return True
    sides = (_spread(change.pair.gold), re.sub(r"\\text\{ ?(?:or|and) ?\}|\bor\b", ",", _spread(change.text)))
    gold, answer = (re.sub(r"\\[{}]|\$|^\s*\w\s*=", "", side) for side in sides)
    return second_opinion(gold=gold, answer=answer) is True


def _spread(text: str) -> str:
    """The readings of a text, one with all upper signs and one with all lower ones."""
    text = text.replace("\u00b1", PLUS_MINUS)
    readings = [re.sub(r"^\s*\w\s*=", "", text.replace(PLUS_MINUS, sign)) for sign in "+-"]
    return ", ".join(dict.fromkeys(readings))


PLUS_MINUS = r"\pm"


def _residue(change: Change) -> bool:
    """Residues that differ by a multiple of the modulus."""
    found = [re.fullmatch(r"(.*\\equiv)(\d+)(.*?(\d+).*)", bare(text)) for text in (change.text, change.pair.answer)]
    if found[0] is None or found[1] is None or (found[0][1], found[0][3]) != (found[1][1], found[1][3]):
        return False
    return (int(found[0][2]) - int(found[1][2])) % int(found[0][4]) == 0


def _true_chain(change: Change) -> bool:
    """Each link of the changed chain holds, and its last side is the gold."""
    sides = _sides(change.text)
    if len(sides) < 2 or _in_words(change):
        return False
    old = _sides(change.pair.answer)
    links = [(left, right) for left, right in pairwise(sides) if (left, right) not in pairwise(old)]
    held = [second_opinion(gold=left, answer=right) is True or _same_cell(left, right) for left, right in links]
    return all(held) and (sides[-1] == old[-1] or second_opinion(gold=change.pair.gold, answer=sides[-1]) is True)


def _formula(change: Change) -> bool:
    """The change stands in a side with symbols between a name and the last side."""
    sides, old = _sides(change.text), _sides(change.pair.answer)
    if len(sides) < 3 or sides[-1] != old[-1] or sides[0] != old[0]:
        return False
    new = [side for side in sides[1:-1] if side not in old]
    return all(re.search(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", side)) for side in new)


def _near(change: Change) -> bool:
    """What stands after a sign of approximation is within one percent of what stands before."""
    parts = re.split(r"\\approx|\u2248|=(?=[\d.]+\\ldots)", change.text)
    values = [_number(part) for part in parts[-2:]]
    if (
        len(parts) < 2
        or None in values
        or bare(parts[0]) != bare(re.split(r"\\approx|\u2248|=", change.pair.answer)[0])
    ):
        return False
    return abs(values[0] - values[1]) <= 0.01 * max(map(abs, values))  # type: ignore[operator,arg-type,type-var]


def _number(text: str) -> complex | None:
    try:
        return value(SPACES.sub("", text).replace(r"\ldots", "").rstrip("."), {})
    except CannotRead:
        return None


_UNITS = re.compile(
    r"cm|squared|million|thousand|\\?%|\\\$|(?<=[\d}a-z)])A|\^?\\circ|\u00b0|percent|dollars?|cents?|USD|\u20ac|\u00a3|\u00a2"
)
_UNIT_TOKEN = re.compile(r"\\text\{ (?:cm|squared|apples) \}|\\?%|\\\$|A|\\circ |\\mu |[*/'.-]|\\cdot |\\times ")


def _unit(change: Change) -> bool:
    """A unit, a percent sign or a currency beside a complete number, where the gold has none or the same."""
    token = change.inserted or change.deleted
    sides = [re.sub(r"\.$", "", _UNITS.sub("", bare(text))) for text in (change.text, change.pair.answer)]
    if sides[0] == sides[1]:
        return "million" not in token
    return _within_unit(change, token)


def _within_unit(change: Change, token: str) -> bool:
    """The change stands behind the number of an answer, among units alone, and the gold is a plain number."""
    if re.search(r"[A-Za-z]", re.sub(r"\\(?:frac|sqrt|pi|dfrac)", "", change.pair.gold)):
        return False
    if change.inserted and not _UNIT_TOKEN.fullmatch(token):
        return False
    number = second_opinion(
        gold=change.pair.gold,
        answer=re.split(r"\\text|\\mathrm|\\,|\\ |\u00b0|\^|(?<=\d)\s*[A-Za-z]", change.before)[0],
    )
    return number is True and re.search(r"[A-Za-z\u00b0]", change.before + change.after) is not None


def _unspoken(change: Change) -> bool:
    """A half of the day, a base, a unit's parts or a label is taken away."""
    half = re.compile(r"(?i)(?:a\.?m\.?|p\.?m\.?)$|_\d+$|_\{?\(?\d+\)?\}?$|\(?base\d+\)?$")
    sides = [half.sub("", bare(text)) for text in (change.text, change.pair.answer)]
    return sides[0] == sides[1]


def _choice_text(change: Change) -> bool:
    """The gold is a letter, or several, and the change stands behind the first letter of the answer."""
    letters = re.findall(r"(?<![A-Za-z\\])[A-J](?![A-Za-z])", WRAPPERS.sub("", change.pair.gold))
    plain = re.fullmatch(r"[\s(){},.A-J]*(?:[.:)].*)?", re.sub(r"and|or", "", bare(change.pair.gold)), re.DOTALL)
    if not letters or plain is None:
        return False
    seen = re.findall(r"(?<![A-Za-z\\])[A-J](?![A-Za-z])", change.before)
    return bool(seen) and seen[-1] in letters


def _label(change: Change) -> bool:
    """A label of a choice, or the name of a point, in front of the gold's own text."""
    label = re.compile(r"^\(?(?:Option|Choice)?[A-Z][):.]+[:.,;']*(?=.)")
    sides = [label.sub("", bare(text)) for text in (change.text, change.pair.answer)]
    return sides[0] == sides[1] or sides[0] == bare(change.pair.gold)


def _multiple(change: Change) -> bool:
    """A positive factor in front of one side of an inequality whose other side is 0."""
    return (
        change.inserted in ("7", "1") and re.match(r"\s*[a-z]\s*(?:[<>]|\\[lg]e)[a-z]*\s*0", change.after) is not None
    )


_LEAD = re.compile(
    r"(?i)^(?:(?:the|final|correct|answers?|option|choice|is|are|there|total|number|of|so|thus|hence|therefore|on|in|a"
    r"|an|at|it|we|get|have|exactly|only|solutions?|result|value)(?![a-z])|[:=,.\s])+"
    r"|(?:intotal|inall|total|altogether|overall)$"
)


def _mark_of_words(change: Change) -> bool:
    """Punctuation beside a word of an answer in words."""
    before, after = (WRAPPERS.sub("", side) for side in (change.before, change.after))
    beside = re.search(r"(?<!\\)\b[A-Za-z]{3,}\W*$", before) or re.match(r"\W*(?<!\\)\b[A-Za-z]{3}", after)
    if re.search(r"\d|[+*/^=<>]", bare(change.pair.answer)) and not beside:
        return False
    marks = re.compile(r"[.,;:!'\-]|\\\\|_")
    return marks.sub("", bare(change.text)) == marks.sub("", bare(change.pair.answer))


def _mark_beside_words(change: Change) -> bool:
    """A dash or a quote in an answer with words, where no numeral follows the dash."""
    following = re.match(r"\d", bare(change.after)) is not None
    mark = change.inserted == "'" or (change.inserted == "-" and not following)
    return mark and re.search(r"\\text\{[^{}]*[A-Za-z]", change.pair.answer) is not None


def _repeated(change: Change) -> bool:
    """The members of an answer without round brackets, one of them said once more."""
    if re.match(r"[\s$]*(?:\\left)?[(\[]", change.pair.gold):
        return False
    texts = [
        re.sub(r"&|\\\\|\\begin\{cases\}|(?<=\d)(?:and|or)\b", ",", text) for text in (change.text, change.pair.answer)
    ]
    members = [{*map(bare, _SEPARATOR.split(text))} - {""} for text in texts]
    return members[0] == members[1]


def _counted(change: Change) -> bool:
    """A noun behind the number, of which the problem asks how many there are."""
    noun = re.fullmatch(r"\\text\{ (\w+) \}", change.inserted)
    return noun is not None and re.search(rf"(?i)how many (?:\w+ )?{noun[1]}", change.pair.problem) is not None


def _lead_in(change: Change) -> bool:
    sides = [
        _LEAD.sub("", WRAPPERS.sub("", text).replace("{", "").replace("}", "")).strip(" $.\\")
        for text in (change.text, change.pair.answer)
    ]
    return bare(sides[0]).casefold() == bare(sides[1]).casefold()


RULES = (
    Rule("prints nothing", _layout),
    Rule("leading zeros and a plus sign", without(r"^0(?=[\u00bc-\u00be])")),
    Rule("leading zeros and a plus sign", _same_numerals),
    Rule(
        "leading zeros and a plus sign",
        without(
            r"(?<![\d.a-zA-Z)|!])\+|(?<=\^)\+|(?<=\\ne)\+|(?<=\\neq)\+|(?<=frac)\+|(?<=\\le)\+|(?<=\\ge)\+|(?<=approx)\+|(?<=pm)\+|(?<=cdot)\+|(?<=times)\+"
        ),
    ),
    Rule("a sign of equality or approximation in front", without(r"^(?:=|\\approx)+")),
    Rule("expressions: symbolically equal", _equal_value),
    Rule("the name is free where the gold has none", _in_name),
    Rule("true chain: the last side is graded", _true_chain),
    Rule("a formula behind a name claims no number", _formula),
    Rule("an approximation must be within one percent", _near),
    Rule("units: may be left out", _unit),
    Rule("units in other spellings", without(r"-(?=s\^)")),
    Rule("a noun counts as a unit if the problem counts it", _counted),
    Rule("times with half of the day", _unspoken),
    Rule("leading zeros and a plus sign", without(r"(?<=frac)0(?=\d)|(?<![\d.])0(?=\\(?:d|t|nice)?frac)")),
    Rule("choice with its text", _choice_text),
    Rule("choice with its text, in other spellings", _label),
    Rule("text: case and wrapper do not count", _mark_of_words),
    Rule("a dash or a quote beside words", _mark_beside_words),
    Rule("bare list: any order, repetitions do not count", without(r"[,;&]|or|and")),
    Rule("bare list: any order, repetitions do not count", _repeated),
    Rule("bases in other spellings", without(r"_(?=\(?base)")),
    Rule("cases, congruences, derivatives, vectors are read whole", without(r"(?<=&)(?:when|for|if)")),
    Rule("prints nothing", without(r"&(?==)|(?<=array)[lcr|]*|\\hat|\\vec")),
    Rule("words that say the same", _lead_in),
    Rule("expressions: symbolically equal", without(r"\\cdot|\\times|\*|(?<=\|)\\pm(?=x)|(?<=binom)\+")),
    Rule("inequalities keep their direction", _multiple),
    Rule("plus-minus is both values", _both_signs),
    Rule("residues are compared by the modulus", _residue),
    Rule(
        "leading zeros and a plus sign",
        without(
            r"(?<=[a-z]{2})\+|(?<=[)}\]])\+|(?<=\d)\+(?=[a-z]\()|(?<=n)\+|(?<=\d)\+(?=[a-z]\^)|(?<=^)0(?=[\u2212-])"
        ),
    ),
    Rule("a point with its name", without(r"[A-Z](?=\()")),
    Rule("magnitude words count", without(r"(?<=[^\d.]0)million")),
)


def row_for(change: Change) -> str:
    """The row of the policy that covers a change, or an empty string."""
    return next((rule.row for rule in (*RULES, *SMALL_RULES) if rule.covers(change)), "")
