"""The one answer of a response without a box (lenient mode only).

What is found is graded by the same comparison as a boxed answer. Finding never looks at the gold.
"""

from __future__ import annotations

import re

from rewards.comparison.answer_reader import read
from rewards.comparison.numerals import TooLarge
from rewards.comparison.tree import Choice, Named, Node, Quantity, Relation, Words
from rewards.comparison.units import MAGNITUDES
from rewards.extraction.asserted import ends_there, is_asserted
from rewards.extraction.neighbours import denies, is_given, is_meant, is_subject, stands_alone

# An answer stands near the end; the search is linear in this many characters.
_FREE_CHARACTERS = 4000
_LONGEST_BARE = 200
_MOST_WORDS = 4
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_SAID = re.compile(
    r"(?:\b(?:final|correct|right)?[ ]?(?:answer|ans|option|choice)\b(?:,\s*[a-z]+,)?[\s*:\"'_]{0,6}"
    r"(?:(?:is|are|must be|=|:)(?!\w)[\s*:\"'_]{0,3})+"
    r"|\b(?:respuesta(?: final| correcta)? es|réponse(?: finale| correcte)? est|antwort (?:ist|lautet)"
    r"|risposta(?: finale)? è|resposta(?: final| correta)? é)\b\s*:?|\bответ\s{0,3}[:—-]|答えは|正解は|(?:정답|답)[은:]"
    r"|答案\s{0,3}[是为為：:]*|\b(?:solutions?|roots?|values?|results?)\s+(?:is|are)\b\s*:?)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[^\d\s.][.!?。])\s+|(?<=\d[.!?。])\s+|(?<=[.!?]\$)\s+|。|\n+")
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_NUMBER = re.compile(
    r"(?<![\w.])(?:\d{1,2}:\d{2}(?![\w:])|[-\u2212+]?(?:\\?[$€£]\s?)?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+|(?<=\d))(?:\s*/\s*\d+|\s+\d+/\d+)?(?:\s*\\?%)?(?![\w]))"
)
_TAIL = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id)\|>.*|I hope (?:it|this) is correct[\s.!]*", re.DOTALL | re.IGNORECASE
)
_ABOUT = re.compile(r"(?<![\w$\\~])~(?=\s*[\d$])")
_UNDERSCORED = re.compile(r"(?<![\w$\\])__([^_\n]+)__(?!\w)")
_SHARE_OF = re.compile(r"%\s*of\b")
_HEADING = re.compile(r"\bFinal Answer:")
_ABOUT_THE_ANSWER = re.compile(r"\banswers?\b", re.IGNORECASE)
_IS_THE_ANSWER = re.compile(
    r"\b(?:is|as|be|are|for|give|get|have) (?:(?:the|our|my|your|a) )?(?:final |correct |right )*answers?\W*$",
    re.IGNORECASE,
)
_DISCOURSE = re.compile(
    r"\A(?:(?:so|thus|hence|therefore|then|finally|it follows that|we (?:get|have|find|obtain|conclude)(?: that)?)"
    r"\b,?\s*)+",
    re.IGNORECASE,
)
_LETTER_IS_CORRECT = re.compile(
    r"(?:the )?(?:(?:option|choice|answer|statement)\s+)?\(?([A-J])\)?\s+is\s+(?:the\s+)?"
    r"(?:correct|right|answer|correct answer|right answer|correct option|correct choice)",
    re.IGNORECASE,
)
_STRUCK_OUT = re.compile(r"~~[^~\n]+~~|<(?:s|del)>[^<\n]*</(?:s|del)>")
# Endings of a sentence in Japanese and Korean, which stand without a space after the answer.
_COPULA = re.compile(r"(?:です|である|だ|입니다|이다|이에요|예요)$")
_SAYS_SOMETHING = re.compile(r"[0-9$*]|\\\\[(\[]|\bis\b")
_ASKS = ("?", "？")
_IS = re.compile(r"\b(?:is|are|equals)\b")
_DIGIT = re.compile(r"[0-9]")
_WORD = re.compile(r"[^\W\d_]+")
_IS_CORRECT = re.compile(
    r"\b(?:option|choice|answer|statement)\s+\(?([A-J])\)?\s+is\s+(?:the\s+)?(?:correct|right)\b", re.IGNORECASE
)


def free_answer(text: str, problem_text: str = "") -> str | None:
    """The answer that ``text`` gives, or None where no single one stands out.

    The words of ``problem_text`` may stand in the sentence that gives the answer.
    """
    text = _STRUCK_OUT.sub(" ", _TAIL.sub("", text[-_FREE_CHARACTERS:])).strip()
    if _MATH.fullmatch(text):
        return text
    # In prose the sign says "about", in a formula the sign is a space.
    text = _UNDERSCORED.sub(r"**\1**", _ABOUT.sub(r"\\sim ", text))
    if tagged := list(_TAGGED.finditer(text)):
        return _from_tags(text, tagged)
    said = [found for found in _SAID.finditer(text) if _near_the_end(text, found)]
    if said:
        phrase, end = _phrase(text, said[-1].end())
        if not _is_meant(text, said[-1], phrase, text[end:], problem_text):
            return text[-_LONGEST_BARE:]
        found = phrase if _reads(phrase) else _inside(phrase, problem_text)
        if found is not None or "answer" in said[-1][0].casefold():
            return found or phrase or None
    text = _DISCOURSE.sub("", text)
    if (letter := _LETTER_IS_CORRECT.fullmatch(text.rstrip(". *"))) is not None:
        return letter[1]
    if len(text) <= _LONGEST_BARE and not _ends_in_formula(text) and not text.endswith(_ASKS) and _reads(text):
        return text
    sentences = [part for part in _SENTENCE_END.split(text) if _SAYS_SOMETHING.search(part)]
    if not sentences:
        return text[-_LONGEST_BARE:] or None
    last = sentences[-1]
    found = _lettered(last, problem_text) or _inside(last, problem_text)
    # What gives no single answer is the answer as a whole, which no gold but the same words can match.
    if found is None or not ends_there(text[text.rfind(last) + len(last) :], found):
        return text[text.rfind(last) :].strip()[-_LONGEST_BARE:]
    return found


def _from_tags(text: str, tagged: list[re.Match[str]]) -> str | None:
    """What stands in tags, all of it where tags differ, or the end of the text where more is said after the tags."""
    contents = list(dict.fromkeys(found[1].strip() for found in tagged))
    if not ends_there(text[tagged[-1].end() :], contents[-1]):
        return text[-_LONGEST_BARE:]
    return ", ".join(contents) or None


def _lettered(sentence: str, problem_text: str) -> str | None:
    found = _IS_CORRECT.search(sentence)
    if found is None or denies(sentence):
        return None
    return found[1] if is_asserted(sentence[: found.start()], sentence[found.end() :], problem_text) else None


def _is_meant(text: str, said: re.Match[str], phrase: str, after: str, problem_text: str) -> bool:
    """Whether the writer announces the answer as the writer's own and says nothing else after."""
    start = max((end.end() for end in _SENTENCE_END.finditer(text, 0, said.start())), default=0)
    # A heading begins a sentence, whatever stands before: "... = 7$$ Final Answer: The final answer is 7."
    start = max((heading.start() for heading in _HEADING.finditer(text, start, said.start())), default=start)
    before = text[start : said.start()]
    return is_asserted(before, "", problem_text) and is_meant(before, after) and ends_there(after, phrase)


def _ends_in_formula(text: str) -> bool:
    """Whether words of prose lead up to one formula at the end, so that the formula alone is the answer."""
    formula = _MATH.search(text)
    if formula is None or _WORD.search(text, formula.end()):
        return False
    return not set(_WORD.findall(text[: formula.start()].casefold())) <= {"and", "or", "the", "final", "answer"}


def _near_the_end(text: str, said: re.Match[str]) -> bool:
    """Whether an announcement counts: a "final answer" wherever it stands, any other near the end."""
    return "final" in said[0].casefold() or len(text) - said.end() <= _LONGEST_BARE


def _phrase(text: str, start: int) -> tuple[str, int]:
    """What follows the announcement of an answer up to the end of the sentence, and that end."""
    # A full stop inside emphasis ends no sentence: "**D. Rome**".
    opened = text.find("**", start) if text[:start].rstrip().endswith("**") else -1
    start += len(text[start:]) - len(text[start:].lstrip(" \t\n:*"))
    end = _SENTENCE_END.search(text, max(start, opened))
    phrase = text[start : end.start() if end else len(text)].replace('\\"', '"')
    phrase = _COPULA.sub("", phrase.replace("**", "").rstrip(". ")).strip(" \t\n\"'`")
    return phrase, end.start() if end else len(text)


def _reads(text: str) -> bool:
    """Whether the whole text is one answer: mathematics, a choice, or a few words without numerals."""
    try:
        node = read(text).node
    except TooLarge:
        return False
    return node is not None and not _is_sentence(node)


def _is_sentence(node: Node) -> bool:
    if isinstance(node, Named):
        return _is_sentence(node.value) or sum(ch == " " for ch in node.name) > 0
    if isinstance(node, Choice):
        return node.rest is not None and _is_sentence(node.rest)
    if isinstance(node, Words):
        return len(node.words) > _MOST_WORDS or any(word[:1].isdigit() for word in node.words)
    if isinstance(node, Relation):
        return any(isinstance(side, Words) for side in node.sides)
    return not isinstance(node, Quantity) and any(map(_is_sentence, getattr(node, "members", ())))


def _inside(sentence: str, problem_text: str) -> str | None:
    """The one emphasised, typeset or numeric piece of a sentence of which the grammar reads all other words."""
    if denies(_MATH.sub(" ", sentence)) or sentence.rstrip().endswith(_ASKS):
        return None
    # A sentence about the answer that does not announce the answer, such as "the answer ends in 7".
    if _ABOUT_THE_ANSWER.search(sentence) and not _IS_THE_ANSWER.search(sentence):
        return None
    piece = _piece(sentence)
    if piece is None:
        return None
    answer, start, end = piece
    return answer if is_asserted(sentence[:start], sentence[end:], problem_text) else None


def _piece(sentence: str) -> tuple[str, int, int] | None:
    """The piece, and where it stands in the sentence."""
    bold, spans = list(_BOLD.finditer(sentence)), list(_MATH.finditer(sentence))
    if bold and _one([found[1] for found in bold]):
        last = bold[-1]
        return None if is_subject(sentence[last.end() :]) else (last[1].strip(), last.start(), last.end())
    after = _IS.split(sentence)[-1].strip()
    if after != sentence.strip() and _reads(after) and (_has_value(after) or not (spans or _DIGIT.search(sentence))):
        start = sentence.rfind(after)
        return after, start, start + len(after)
    return _typeset(sentence, spans) if spans else _numeric(sentence)


def _typeset(sentence: str, spans: list[re.Match[str]]) -> tuple[str, int, int] | None:
    pieces = [next(filter(None, found.groups())) for found in spans]
    last = spans[-1]
    given = "=" in last[0] or is_given(sentence[: last.start()], typeset=True)
    if not given or not _one(pieces) or is_subject(sentence[last.end() :]):
        return None
    return pieces[-1].strip(), last.start(), last.end()


def _numeric(sentence: str) -> tuple[str, int, int] | None:
    numbers = [found for found in _NUMBER.finditer(sentence) if found[0].strip()]
    if len({found[0].strip() for found in numbers}) != 1 or is_subject(sentence[numbers[-1].end() :]):
        return None
    number = numbers[0][0].strip()
    start, end = sentence.index(number, numbers[0].start()), numbers[0].end()
    subject = _IS_THE_ANSWER.search(sentence[numbers[-1].end() :]) is not None
    if not subject and not is_given(sentence[:start], typeset=False):
        return None
    if not stands_alone(sentence, start, end):
        return None
    if _SHARE_OF.match(sentence, end - 1):
        return None
    after = _WORD.search(sentence, end)
    if after is not None and after[0].casefold() in MAGNITUDES:
        return f"{number} {after[0].casefold()}", start, after.end()
    return number, start, end


def _has_value(text: str) -> bool:
    return bool(_DIGIT.search(text) or _MATH.search(text))


def _one(pieces: list[str]) -> bool:
    return len({piece.strip() for piece in pieces}) == 1
