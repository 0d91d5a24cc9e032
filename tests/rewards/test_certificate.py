"""The coverage certificate: what a token is changed to is paid only where a row of the policy says so.

Each token of a paid answer is deleted, and each of 60 intruders is inserted at each position. A change that is still
paid must belong to a rule of ``benchmarks.insertion_rules``, and each rule quotes docs/rewards.md.
"""

from __future__ import annotations

import pytest

from benchmarks.insertion_rules import RULES, row_for
from benchmarks.rewards_certificate import graded, sample
from benchmarks.rewards_insertions import INTRUDERS, Change, Pair
from rewards.comparison.compare import compare
from rewards.comparison.units import SHORT_LETTERS
from tests.rewards.test_policy import TEXT

# The share of all pairs that a run of the default suite takes.
SAMPLE = 12


@pytest.mark.parametrize("pairs", [SAMPLE, pytest.param(None, marks=pytest.mark.slow)])
def test_every_change_that_is_still_paid_has_a_row_in_the_policy(pairs):
    outcome = graded(sample(pairs, seed=16))
    assert outcome.tried > 1000 and outcome.rows
    assert [(change.pair.gold, change.text) for change in outcome.uncovered] == []


def test_each_rule_quotes_the_documentation():
    assert [rule.row for rule in RULES if rule.row not in TEXT] == []


@pytest.mark.parametrize(
    ("gold", "before", "inserted", "deleted", "after"),
    [
        ("7", "7", r"\text{ thirds }", "", ""),
        ("7", "7", r"\text{ is wrong }", "", ""),
        ("7", "", "-", "", "7"),
        ("7", "7", "1", "", ""),
        ("(1,2)", "(1,", "", "2", ")"),
        (r"\sqrt{5}", r"\sqrt{5}", r"\pi ", "", ""),
        ("x=7", "", "y", "", "x=7"),
        (r"7\text{ cm}", "7", r"\pi ", "", r"\text{ cm}"),
        (r"\text{odd}", r"\text{", "not ", "", "odd}"),
        ("[0,1)", "[0,1", "]", "", ")"),
        ("x^{2}", "x^{", "1", "", "2}"),
        (r"\sqrt{x}", r"\sqrt", "1", "", "{x}"),
        ("x-1=2", "", "-", "", "x-1=2"),
        ("x-1<0", "", "-", "", "x-1<0"),
        (r"\begin{pmatrix}0\\1\end{pmatrix}", "", "7", "", r"\begin{pmatrix}0\\1\end{pmatrix}"),
        (r"\text{12 May}", r"\text{12 ", "", "May", "}"),
        (r"\sqrt{2}", r"\sqrt{2}\approx 1.4", "7", "", "14"),
        ("3!", "3", "!", "", "!"),
    ],
)
def test_no_rule_covers_a_change_of_the_answer(gold, before, inserted, deleted, after):
    assert row_for(Change(Pair(gold, before + deleted + after), before, inserted, deleted, after)) == ""


@pytest.mark.parametrize("word", ["not", "is wrong", "thirds", "minus", "apples", "million", "maybe", "squared"])
@pytest.mark.parametrize("gold", ["7", r"\sqrt{5}", "x+1", "(1,2)", r"\text{odd}", "B"])
def test_a_word_that_changes_the_answer_is_never_paid(gold, word):
    for answer in (rf"{gold} \text{{ {word}}}", rf"\text{{{word} }} {gold}"):
        assert compare(gold=gold, answer=answer).score == 0.0


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("43", r"43\text{ overall}", [r"43\foo\text{ overall}", r"43\,x\text{ overall}", r"43]\text{ in total}"]),
        ("3", r"\#\text{pairs}=3", [r"\#\text{pairs}\text{ not }=3", r"\sum x=3", r"\frac x=3"]),
        ("(3,97)", "(x,y)=(3,97)", [r"(x,y\foo)=(3,97)", r"(x,y<)=(3,97)"]),
        ("x=1,y=2", "(x,y)=(1,2)", [r"\sin(x,y)=(1,2)", "A(x,y)=(1,2)"]),
        (r"(-\infty,7]", r"x\le 7", [r"\sqrt x\le 7", r"\ln x\le 7"]),
        ("(0,4)", "(0,4)", [r"(0\infty,4)"]),
        ("x^2", "x^2", ["x^2!"]),
        ("43", "43", ["1{43}", r"\textcolor{red}1{\textbf{43}}"]),
        (r"83\text{ R }3", r"83\text{ rem }3", [r"83\text{ rem }-3"]),
        (r"A\cup B", r"B\cup A", [r"B\cup A)"]),
        (r"\begin{pmatrix}6\\18\end{pmatrix}", r"\left(\begin{array}{c}6\\18\end{array}\right)",
         [r"\left(\begin{array}{c7}6\\18\end{array}\right)"]),
        ("y''+37y=0", "37y+y''=0", [r"37y+y''\text{ million }=0"]),
    ],
)  # fmt: skip
def test_what_nothing_owns_is_not_paid(gold, right, wrong):
    assert compare(gold=gold, answer=right).score == 1.0
    assert [answer for answer in wrong if compare(gold=gold, answer=answer).score] == []


@pytest.mark.parametrize("answer", [r"\text{Answer:}", r"\[\text{Answer: } \]", r"5\text{ sq.}\,", r"5\text{ sq. }"])
def test_an_answer_that_is_only_a_lead_in_ends_no_run(answer):
    assert compare(gold="97", answer=answer).score == 0.0


def test_there_are_60_intruders():
    assert len(set(INTRUDERS)) == 60


def test_letters_for_units_are_few():
    assert set("mgshL") == SHORT_LETTERS
