"""Where a formula is open around a box: prices, line breaks and far text beside generated boxes."""

from __future__ import annotations

import pytest

from rewards.extraction.extract import final_answer

LENGTHS = (0, 399, 401, 2000)
# Whole sentences that open no formula at their end.
BEFORE = {
    "words": "She counts the days of a month. ",
    "price": "She earns $18 a day. ",
    "two prices": "She earns $18 a day and $20 a night. ",
    "a price behind its number": "She earns 18$ a day. ",
    "an escaped price": r"She earns \$18 a day. ",
    "a formula of one number": "She works $18$ days. ",
    "formulas": r"With $x=3$ and \(y=4\) we get $x+y=7$. ",
    "a price and a formula": "She earns $18 a day, so $3x=54$. ",
    "a bold price and a bold formula": "Not **$18** but **$x=3$**. ",
    "a line break in a formula": r"\[ x=3, \\[2pt] y=4 \] ",
    "a display": "$$18x=36$$ ",
    "an escaped price in a formula": r"So $18 \text{ of } \$5=90\$$ hold. ",
}
TEXT = (r"It is \boxed{7}!", r"It is **\boxed{7}**!", r"It is $\boxed{7}$!")
FORMULA = {
    r"It is $-\boxed{7}$.": "-7",
    r"It is $\boxed{7}!$.": "7!",
    r"It is \(\boxed{7}!\).": "7!",
    "It is\n$$\n\\boxed{7}!\n$$": "7!",
    "It is\n\\[\nx \\\\[2pt] \\boxed{7}!\n\\]": "7!",
    r"It is $18, \boxed{7}!$": "18, 7!",
}


def filled(sentence: str, length: int) -> str:
    """At least ``length`` characters of whole sentences."""
    return sentence * -(-length // len(sentence))


@pytest.mark.parametrize("sentence", BEFORE.values(), ids=BEFORE)
def test_an_exclamation_mark_in_running_text_is_no_factorial(sentence):
    texts = [filled(sentence, length) + end for length in LENGTHS for end in TEXT]
    assert [text for text in texts if final_answer(text).answer != "7"] == []


@pytest.mark.parametrize("sentence", BEFORE.values(), ids=BEFORE)
def test_a_formula_keeps_what_it_says_around_its_box(sentence):
    texts = {filled(sentence, length) + end: said for length in LENGTHS for end, said in FORMULA.items()}
    assert {text: final_answer(text).answer for text, said in texts.items() if final_answer(text).answer != said} == {}


@pytest.mark.parametrize("length", LENGTHS)
def test_a_long_formula_stays_open_up_to_its_box(length):
    assert final_answer("$x=" + filled("1+", length) + r"1=-\boxed{7}$").answer == "-7"
    assert final_answer(r"\[x=" + filled(r"1\\[2pt]+", length) + r"1=\boxed{7}! \]").answer == "7!"


@pytest.mark.parametrize("blank", ["\n\n", "\n \t\n", "\r\n\r\n"])
def test_a_formula_that_is_never_closed_ends_with_its_paragraph(blank):
    assert final_answer(rf"So $x = 3 holds.{blank}It is \boxed{{7}}!").answer == "7"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"$\boxed{6}$ and \boxed{7}!", "6, 7"),
        (r"\boxed{6} and $\boxed{7}!$", "6, 7!"),
        (r"$\boxed{6}$ and $\boxed{7}!$", "6, 7!"),
    ],
)
def test_what_follows_the_last_of_several_boxes_is_read_where_that_box_stands(text, answer):
    assert final_answer(text).answer == answer
