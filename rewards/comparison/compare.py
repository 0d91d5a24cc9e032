"""Is this answer that gold? One policy (docs/rewards.md), applied in one order: identity, exact, words, engine."""

from __future__ import annotations

from rewards.comparison.exact_numbers import same_number
from rewards.comparison.listings import differ_in_count, read_listing, same_listing
from rewards.comparison.normalise import clean, illegal_characters, without_invisible
from rewards.comparison.quantities import Quantity, read_quantity, read_ratio, same_quantity
from rewards.comparison.refusals import MAX_CHARACTERS, MAX_NESTING, nesting, too_costly, unevaluated
from rewards.comparison.refute import surely_different
from rewards.comparison.symbolic import engine_equal, engine_equal_in_text, find_in_text
from rewards.comparison.worded_answers import as_words, choice_letter, false_equation, split_name, unwrapped
from rewards.types import Reason, Result

# A response no longer than this may be nothing but the answer.
_ANSWER_CHARACTERS = 200


def compare(*, gold: str, answer: str) -> Result:
    """Compare under the strict policy; unbounded in time where the engine is needed."""
    quick = compare_quick(gold=gold, answer=answer)
    if quick is not None:
        return quick
    wanted, given = clean(without_invisible(gold)), clean(answer)
    if "=" not in wanted:
        given = split_name(given)[1]
    equal = engine_equal(gold=wanted, answer=given)
    if equal is None:
        return _result(Reason.UNPARSABLE, symbolic=True)
    return _result(Reason.CORRECT if equal else Reason.WRONG, symbolic=True)


def compare_quick(*, gold: str, answer: str) -> Result | None:
    """Everything that needs no engine, in time linear in the answer; None when the engine has to decide."""
    reason = _decide(gold, answer)
    return None if reason is None else _result(reason)


def compare_in_text(*, gold: str, text: str) -> Result:
    """Compare with whatever answer ``text`` holds (lenient mode); the same refusals hold for what is found."""
    if len(text) <= _ANSWER_CHARACTERS and compare(gold=gold, answer=text).score:
        return _result(Reason.CORRECT, symbolic=True)
    found = find_in_text(text)
    if found is None:
        return _result(Reason.NO_FINAL_ANSWER, symbolic=True)
    exact = _decide(gold, found)
    if exact in (Reason.CORRECT, Reason.UNEVALUATED, Reason.TOO_COMPLEX):
        return _result(exact, symbolic=True)
    both_numbers = read_quantity(clean(gold)) is not None and read_quantity(clean(found)) is not None
    equal = not both_numbers and engine_equal_in_text(gold=gold, text=text)
    return _result(Reason.CORRECT if equal else Reason.WRONG, symbolic=True)


def _result(reason: Reason, *, symbolic: bool = False) -> Result:
    return Result(float(reason is Reason.CORRECT), reason, {"answered": 1.0, "symbolic": float(symbolic)})


def _decide(gold: str, answer: str) -> Reason | None:
    if answer.strip() == gold.strip() != "":
        return Reason.CORRECT
    if len(answer) > MAX_CHARACTERS or nesting(answer) > MAX_NESTING:
        return Reason.TOO_COMPLEX
    if illegal_characters(answer):
        return Reason.UNPARSABLE
    wanted, given = clean(without_invisible(gold)), clean(answer)
    if not given or not wanted:
        return Reason.UNPARSABLE
    if given == wanted or unwrapped(given) == unwrapped(wanted):
        return Reason.CORRECT
    return _decide_cleaned(wanted, given)


def _decide_cleaned(gold: str, answer: str) -> Reason | None:
    gold_name, gold_value = split_name(gold)
    answer_name, answer_value = split_name(answer)
    if gold_name and answer_name and gold_name != answer_name:
        gold_value, answer_value = gold, answer  # x = 7 against y = 7: the engine compares the equations
    quantity = _one_quantity(gold_value)
    if quantity is not None:
        return _against_quantity(quantity, gold_value, answer_value)
    ratios = read_ratio(gold_value), read_ratio(answer_value)
    if None not in ratios:
        return _scored(ratios[0] == ratios[1])
    listing = read_listing(gold_value)
    if listing is not None and (given := read_listing(answer_value)) is not None:
        return _scored(same_listing(listing, given))
    if (words := as_words(gold)) is not None:
        return _scored(as_words(answer) == words)
    if (letter := choice_letter(gold)) is not None and (given_letter := choice_letter(answer)) is not None:
        return _scored(letter == given_letter)
    if unevaluated(gold, answer, rational=listing is not None):
        return Reason.UNEVALUATED
    return too_costly(answer) or _refuted(gold, answer)


def _refuted(gold: str, answer: str) -> Reason | None:
    """WRONG for what the engine would forgive (more answers, an equation nobody asked for) or need not look at."""
    equation_unasked = "=" not in gold and false_equation(answer)
    different = equation_unasked or differ_in_count(gold, answer) or surely_different(gold, answer)
    return Reason.WRONG if different else None


def _one_quantity(text: str) -> Quantity | None:
    """A quantity, or a list that says one value several ways ("1/2 or 0.5")."""
    quantity = read_quantity(text)
    listing = read_listing(text) if quantity is None else None
    if listing is None or listing.kind != "bare":
        return quantity
    first, *others = listing.members
    return Quantity(first) if all(same_number(first, other) for other in others) else None


def _against_quantity(gold: Quantity, gold_text: str, answer: str) -> Reason:
    """An exact gold needs no engine: what is not plain arithmetic on numerals is not an answer to it."""
    quantity = _one_quantity(answer)
    if quantity is not None:
        return _scored(same_quantity(gold, quantity))
    if unevaluated(gold_text, answer, rational=True):
        return Reason.UNEVALUATED
    return Reason.WRONG if any(ch.isalnum() for ch in answer) else Reason.UNPARSABLE


def _scored(equal: bool) -> Reason:
    return Reason.CORRECT if equal else Reason.WRONG
