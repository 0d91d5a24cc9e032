"""Words and signs beside a piece of prose that say whether the piece may be the answer."""

from __future__ import annotations

import re

from rewards.comparison.units import NEVER_A_NOUN, noun
from rewards.wordlists import words

_WORD = re.compile(r"[^\W\d_]+")
# Words after which nothing in the sentence may be the answer.
_DENYING = frozenset(
    words(
        "not no nor none never neither nope isn aren ain doesn didn don won cannot wrong incorrect incorrectly",
        "wrongly false falsely untrue invalid if unless except without maybe perhaps possibly probably either",
        "or alternatively instead but kidding joking unlikely hardly doubt doubtful impossible anything guess",
        "guessing unsure uncertain mistake mistaken refuted excluded reject rejects rejected fail fails failed",
        "suppose assume assuming imagine unknown nicht kein keine keinen keiner sondern oder vielleicht",
        "nobody nothing nowhere barely scarcely rarely seldom refuse refuses deny denies contradiction absurd",
        "stuck unsolved unable could should might problem says states claims claimed tried try tries tempting",
        "think thinks thought believe believes hope wish let would few bound bounds estimate estimated used",
        "rounded lacks lack ruled depends depend whether previously earlier initially",
        "others attempt attempts discarded dropped abandoned withdrawn scrapped",
        "pas jamais peut ou nem nunca talvez forse quizás não ni не нет ни или возможно",
    )
)
_DENIED_ABROAD = re.compile(
    r"不是|不为|不為|不对|不對|不等于|不可能|没有|并非|而非|或|也许|可能"
    r"|ではない|ではありません|じゃない|아니|아닙|또는|\bnon (?:è|sono|es)\b"
    r"|\b(?:may|might|could) be [*$\\(]*[-−]?[0-9]"
)
# "can't", "couldn't", and what is struck out.
_NEGATED = re.compile(r"n['\u2019]t\b|~~|\\(?:cancel|xcancel|bcancel|sout|not)\b")
# Words that change a number which stands directly after, or directly before.
_BEFORE = frozenset(
    words(
        "minus negative plus over under below above than least most about around almost nearly roughly",
        "approximately times mod modulo base divided half double twice squared cubed root from between",
        "unlike except exceeds exceed best maximum minimum max min step chapter section page equation figure",
        "before after until since by with table line row problem question exercise theorem lemma case part",
        "reference see",
    )
)
_COMPUTED_BEFORE = re.compile(
    r"(?:\b(?:half|third|quarter|fraction|percent|square|cube|root|power|multiple|factor|divisor|inverse"
    r"|reciprocal|opposite|double|twice) of(?: the)?|(?<!adds )(?<!add )(?<!sums )\bup to)\s*$"
)
_AFTER = NEVER_A_NOUN - frozenset(
    words(
        "a an the of in on at for with as it its this that these those from to until then is are was were be",
        "been being which who how all each every answer result solution solutions correct right true total",
        "million billion trillion thousand hundred dozen percent percentage pct when where while since because",
        "given such",
    )
)
# What may touch a number on its right: white space, punctuation, a sign of degrees, marks of emphasis or of formulas.
_ENDS_NUMBER = re.compile(r"[\s.,;:!?)\]}*\"'\u201d\u2019$`\\\u00b0\u3002\u3001\uff0c<_|~&€£¥¢元个]")
_AT_FIRST = re.compile(r"\b(?:at first|at the start|at the beginning|in the beginning)\b")
_CHANGES = frozenset(
    words("digits digit places loss gain profit increase decrease discount off higher lower reduction raise rise drop")
)
_CHANGING_SIGNS = tuple("|¬≠<>~≈≤≥^/×÷±[")
_CHANGED_AFTER = re.compile(r"\s*(?:(?:in|out of) (?:a|an|every|each|\d)|\.\.|…|[²³^×±~→≠<>]|'\s)")
# The piece is the subject of a sentence that says something else about the piece.
_SUBJECT = re.compile(
    r"[\s*$]*(?:is|are|was|were|has|does)\b(?!\s+(?:(?:the|our|my|your|a)\s+)?(?:final\s+|correct\s+|right\s+)*"
    r"(?:answer|result|solution|total|correct|right|choice|option)\b)"
)
_TAKEN_BACK = re.compile(
    r"\b(?:kidding|joking|wait|sorry|actually|oops|correction|scratch that|mistaken)\b", re.IGNORECASE
)
_OTHERS_ANSWER = frozenset(
    words(
        "wrong incorrect false mistaken previous initial first second tempting naive another no",
        "students their his her someone",
    )
)
_SUPPOSED = frozenset(words("suppose assume assuming imagine claims claim if unless"))
_LONGEST_LABEL = 3
_GIVING = frozenset(
    words(
        "is are be was were equals equal has have had get gets got obtain find finds need needs take takes took him",
        "her them us cost costs pays paid spends spent earns earned makes made make travels traveled travelled walks",
        "runs drives gives give gave yields contains contain owns sells sold buys bought reads read uses used wins won",
        "buy sell use win own walk run drive travel earn spend pay cost make collect save receive",
        "at exactly ist son est es é è est à total sum x y z n k m a b c",
    )
)
_LEADING_IN = frozenset(words("so thus hence therefore then conclude get that us now finally answer result find have"))
_COMES_TO = re.compile(
    r"\b(?:equal|equals|comes|comes out|amounts|adds up|sums|add up|evaluates|simplifies) to(?: be)?$|\btotal of$"
)


def denies(sentence: str) -> bool:
    """Whether a sentence has a word after which its number may not be the answer."""
    folded = sentence.casefold()
    if _NEGATED.search(folded) or _AT_FIRST.search(folded):
        return True
    return bool(_DENIED_ABROAD.search(folded)) or any(word in _DENYING for word in _WORD.findall(folded))


def is_given(before: str, *, typeset: bool) -> bool:
    """Whether the words before an unannounced piece of prose hand the piece over, as in "she has 7".

    Only verbs of a closed table do, since the nouns of a sentence are no closed table.
    """
    folded = before.casefold().rstrip(" \t\n*_`\"'$\\([{=:\uff1a~€£¥")
    last = _WORD.findall(folded)[-1:]
    # A short label before a colon announces, in whatever language.
    if not last or (before.rstrip().endswith((":", "\uff1a")) and len(folded.split()) <= _LONGEST_LABEL):
        return True
    return last[0] in _GIVING or (typeset and last[0] in _LEADING_IN) or _COMES_TO.search(folded) is not None


def stands_alone(sentence: str, start: int, end: int) -> bool:
    """Whether no neighbour changes the number at ``sentence[start:end]``."""
    left, right = sentence[:start].casefold(), sentence[end:].casefold()
    if right[:1] and not _ENDS_NUMBER.match(right):
        return False
    if left.rstrip().endswith(_CHANGING_SIGNS) or _COMPUTED_BEFORE.search(left) or _CHANGED_AFTER.match(right):
        return False
    before, after = _WORD.findall(left)[-1:], _WORD.findall(right)[:1]
    # A second counts, seconds are a unit.
    singular = [noun(word) for word in after if word != "seconds"]
    return not (_BEFORE & set(before) or _AFTER & {*after, *singular} or _CHANGES & set(after))


def is_subject(rest: str) -> bool:
    """Whether ``rest``, which follows a piece, says something else of the piece than that it is the answer."""
    return _SUBJECT.match(rest) is not None


def is_meant(before: str, after: str) -> bool:
    """Whether an announcement is the writer's own: neither another's, nor supposed, nor taken back.

    Args:
        before: the sentence up to the announcement.
        after: everything after the announced answer.
    """
    leading = _WORD.findall(before.casefold())
    return not (_OTHERS_ANSWER & set(leading[-1:]) or _SUPPOSED & set(leading) or _TAKEN_BACK.search(after))
