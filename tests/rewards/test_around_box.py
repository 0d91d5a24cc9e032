"""A box is read with all that its formula and its sentence say of the box."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rewards.comparison.compare import compare
from rewards.extraction.extract import final_answer

DATA = os.environ.get("JUDGERLVR_TEST_DATA")
BRACKETS = (("(", r",3)"), ("[", r",\infty)"), (r"\{", r",8\}"), ("|", "-8|"), (r"\lfloor ", r"/2\rfloor"))
COMMANDS = (r"\sqrt{", r"\overline{", r"\cancel{", r"\hat{", r"a_{", "2^{", r"\log_{2}{", r"\frac{1}{", r"\int_{0}^{")
BEFORE = ("-", "8-", r"2\cdot ", r"x\ne ", r"x\not=", "x<", r"x\ge ", r"\neg ", r"\text{not }", r"3\pm ", "12", "8, ")
AFTER = ("!", "^2", "_2", "i", r"\,\pi", r"\cdot 8", "+1", "<8", "=8", ":3", ", 8", r"\text{ or }8", r"\text{ thirds}",
         r"\text{ is wrong}", r"\cup\{8\}", r"\pmod{5}", "'", r"\vee 8")  # fmt: skip
SENTENCES = (
    r"It is not {}.",
    r"It isn't {}.",
    "Is it {}?",
    "{}? No.",
    "{}. That is wrong.",
    "~~{}~~",
    r"\phantom{{{}}}",
    "<!-- {} -->",
    "All but {}",
    "We cannot have {}.",
    "It can't be {}.",
    "{} times 3",
    r"{} is wrong.",
    r"{} or 8",
    r"Half of {}",
    r"minus {}",
    r"{} million",
)
HARMLESS = (
    r"$x=\boxed{7}$", r"$5+2=\boxed{7}$", r"$\boxed{7}=5+2$", r"$\therefore\boxed{7}.$", r"$\text{Total: }\boxed{7}$",
    r"$\color{red}{\boxed{7}}$", r"\[\begin{aligned}x&=5+2\\&=\boxed{7}\end{aligned}\]", r"$(\boxed{7})$",
    r"$\boxed{7}\quad\blacksquare$", r"$2^{10}\equiv\boxed{7}\pmod{1017}$", r"It is not $8$ but $\boxed{7}$.",
    r"$\boxed{7}\text{ cm}$", "$$\n\\boxed{7}\n$$", r"\textbf{Answer: \boxed{7}}", r"\section*{So \boxed{7}.}",
    r"Is it 8? No: $\boxed{7}$. This is not 8.", r"\boxed{7}. No other value works.",
)  # fmt: skip


def paid(completion: str, gold: str = "7") -> bool:
    answer = final_answer(completion).answer
    return answer is not None and compare(gold=gold, answer=answer).score == 1.0


def test_a_bracket_or_command_of_the_formula_is_never_hidden():
    groups = [*BRACKETS, *((command, "}") for command in COMMANDS)]
    assert [opening for opening, end in groups if paid(rf"So ${opening}\boxed{{7}}{end}$.")] == []


@pytest.mark.parametrize("mark", [("$", "$"), (r"\(", r"\)"), ("$$\n", "\n$$"), (r"\[", r"\]")])
def test_a_sign_beside_the_box_is_never_hidden(mark):
    formulas = [rf"{before}\boxed{{7}}" for before in BEFORE] + [rf"\boxed{{7}}{after}" for after in AFTER]
    assert [formula for formula in formulas if paid(f"So {mark[0]}{formula}{mark[1]}.")] == []


@pytest.mark.parametrize("box", [r"\boxed{7}", r"$\boxed{7}$"])
def test_a_sentence_that_denies_the_box_or_computes_with_it_is_not_paid(box):
    assert [sentence for sentence in SENTENCES if paid(sentence.format(box))] == []


@pytest.mark.parametrize("completion", HARMLESS)
def test_what_only_leads_up_to_the_box_is_cut_off(completion):
    assert paid(completion)


def test_an_inequality_around_the_box_is_the_answer_where_the_gold_is_one():
    assert paid(r"$x<\boxed{7}$", gold="x<7")


@pytest.mark.skipif(not DATA, reason="JUDGERLVR_TEST_DATA is not set")
def test_boxes_of_published_solutions_keep_their_answers():
    rows = (Path(DATA or "") / "eval" / "math500.jsonl").read_text(encoding="utf-8").splitlines()
    refused = [row["answer"] for row in map(json.loads, rows) if not paid(row["solution"], row["answer"])]
    # One solution has a leftover formula directly behind its box.
    assert len(refused) <= 1, refused
