"""A closed grammar of sentences that assert an answer: what the grammar does not read gives no answer.

Words of three kinds are read. The first kind stands in a closed table: words that lead up to an answer, and names of
what a problem may ask. The second kind stands in the problem's own text. The third kind stands in one of two places:
a noun directly after the number, and a name in front of a verb of having. Any other word is not read.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rewards.comparison.units import NEVER_A_NOUN, noun, unit_name
from rewards.comparison.words import ASKED_NAMES
from rewards.wordlists import words

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$|\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)
# Words of prose that change nothing about the number that they lead up to, or that they follow.
_FUNCTION = frozenset(
    words(
        "a an the this that these those such its it our my your their his her he she they we i us you there here",
        "him them so thus hence therefore then consequently accordingly finally now well also indeed clearly simply",
        "just exactly precisely ok okay in of for to at on by with and as from conclusion summary total all altogether",
        "overall together fact is are was were be being has have had do does can must will may equals equal means",
        "follows follow conclude get gets got obtain obtained find found see know known say yields yield gives give",
        "gave given making makes make leaves leaving comes come out amounts adds add up sums evaluates simplifies",
        "becomes two three four five let's let us check verify works am sure confident",
        "certain i'm we're it's that's we've i've there's",
    )
)
_GIVING = frozenset(
    words(
        "has have had gets got needs need needed takes take took costs pays paid spends spent earns earned makes made",
        "travels traveled travelled walks runs drives owns buys bought reads wins won sells sold saves saved",
        "uses used receives received collects collected arrives arrive scored scores ate eats weighs",
    )
)
_FOREIGN = frozenset(
    words(
        "la el le les die der das il lo o os as un une una est es è é ist sind son lautet respuesta réponse antwort",
        "risposta resposta resultado résultat ergebnis final finale correcta correcte correta donc also por tanto",
        "lösung solución soluzione solução",
        "ответ odpowiedź antwoord svar đáp án cevap vastaus 所以 因此 故 所以答案是 因此答案为 最终 最终答案 therefore",
    )
)
_AFTER = frozenset(words("left remaining remain remains now today more each per old long wide high away"))
# Participles and conjunctions that open a clause of reasons before the claim.
_REASON = frozenset(
    words(
        "since because as adding subtracting multiplying dividing simplifying substituting solving combining counting",
        "summing expanding factoring evaluating computing calculating using applying plugging after from by",
    )
)
_QUANTIFIERS = frozenset(
    words(
        "nobody nothing everybody everyone everything someone somebody anyone anybody others half most many few",
        "several some any every whoever whatever whichever both either neither none no not never if unless",
    )
)
_SUPPOSING = frozenset(words("if unless suppose supposing assume assuming let were would could might should may"))
_CLAUSE = re.compile(r"[,;:]\s")
# Polite endings, and references to what was shown.
_CLOSING = re.compile(
    r"(?:i hope|hope (?:this|that|it)|let me know|feel free|thank|thanks|q\.?e\.?d|this completes|this (?:is|was) the"
    r" (?:final )?answer|and (?:that|this) is (?:the|our) (?:final )?answer|\W*\Z)",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def words_of_problem(text: str) -> frozenset[str]:
    """Words of a problem in the form in which nouns are compared. Words that count, deny or compare are left out."""
    found = {word.casefold() for word in _WORD.findall(text)}
    return frozenset(form for word in found - NEVER_A_NOUN for form in (word, noun(word)))


def is_asserted(before: str, after: str, problem_text: str = "") -> bool:
    """Whether the grammar reads all words of a sentence around an answer.

    Args:
        before: the sentence up to the answer.
        after: the rest of the sentence.
        problem_text: the problem, whose words are known.
    """
    known = words_of_problem(problem_text)
    *reasons, claim = _CLAUSE.split(_FORMULA.sub(" ", before))
    if not all(_is_reason(part, known) for part in reasons):
        return False
    return _leads_up(claim, known) and _follows(_FORMULA.sub(" ", after), known, bool(problem_text))


def ends_there(rest: str, answer: str) -> bool:
    """Whether the sentences after an answer only repeat the answer or take leave."""
    parts = [part for part in re.split(r"(?<=[.!?])\s+|\n+", rest) if _WORD.search(part) or re.search(r"\d", part)]
    return all(_CLOSING.match(part.lstrip("* #")) or answer.strip("$ .*") in part for part in parts)


def _is_reason(clause: str, known: frozenset[str]) -> bool:
    found = [word.casefold() for word in _WORD.findall(clause)]
    if not found or (found[0] in _REASON and not _SUPPOSING & set(found)):
        return True
    return _leads_up(clause, known)


def _leads_up(clause: str, known: frozenset[str]) -> bool:
    spelled = _WORD.findall(clause)
    for at, word in enumerate(spelled):
        named = not known and [part.casefold() for part in spelled[max(0, at - 2) : at]] == ["number", "of"]
        if _is_read(word, known) or _is_label(word) or named or (at == 0 and word.casefold() in _REASON):
            continue
        follows = spelled[at + 1].casefold() if at + 1 < len(spelled) else ""
        if not (word[:1].isupper() and word.casefold() not in _QUANTIFIERS | NEVER_A_NOUN and follows in _GIVING):
            return False
    return True


def _follows(rest: str, known: frozenset[str], problem_given: bool) -> bool:
    """One noun that is counted, then words that the tables or the problem know."""
    spelled = _WORD.findall(rest)
    if spelled and not problem_given and spelled[0].casefold() not in NEVER_A_NOUN | _QUANTIFIERS:
        spelled = spelled[1:]
    return all(_is_read(word, known) or word.casefold() in _AFTER or unit_name(word, known) for word in spelled)


def _is_read(word: str, known: frozenset[str]) -> bool:
    folded = word.casefold()
    tables = _FUNCTION | ASKED_NAMES | _GIVING | _FOREIGN
    return folded in tables or folded in known or noun(folded) in known


def _is_label(word: str) -> bool:
    """A symbol or a name of points, such as x, n, AB and ABC."""
    return len(word) == 1 or (word.isupper() and len(word) <= 3 and word.casefold() not in NEVER_A_NOUN)
