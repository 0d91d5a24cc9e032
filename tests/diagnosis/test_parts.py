"""Parts of the command: the judge prompt of a card, traces of a foreign tokenizer, and checks counted by hand."""

from argparse import Namespace
from pathlib import Path

import pytest

from data.identity import make_problem
from judgerlvr.config.load import ROOT
from judgerlvr.diagnosis.command import read_judge_template
from judgerlvr.diagnosis.world_traces import (
    judging_checks,
    read_traces,
    recheck_due,
    rechecked_steps,
    solving_checks,
)
from judgerlvr.runs.policy_card import PolicyCard, write_card
from judgerlvr.tinyworld.task import parse_chain
from rewards.errors import InputError
from tests.helpers.records import record

CARD = PolicyCard(
    stage="judge",
    generation_prompt=None,
    judge_prompt="Is {{response}} right for {{problem}}? Say Yes or No.",
    verdicts=("Yes", "No"),
    extraction="strict",
    verifier="rewards.math:verify",
    thinking_open=False,
    max_response_tokens=64,
    temperature=1.0,
    parent_hash="",
    length_term="no",
)
CHAIN = parse_chain("mod 30\na=29\nb=a*11\nc=b-7\nc?")  # b is 19 and c is 12
DEFAULT = Path("configs/prompts/judge.txt")


def options(model, **given):
    return Namespace(model=model, **({"judge_prompt": None, "verdicts": None, "override_card": False} | given))


def test_the_judge_prompt_is_the_cards(tmp_path):
    write_card(tmp_path, CARD)
    assert read_judge_template(options(tmp_path)) == CARD.judge_prompt


def test_another_judge_prompt_than_the_cards_needs_a_word(tmp_path, capsys):
    write_card(tmp_path, CARD)
    with pytest.raises(InputError, match=r"judge_prompt.*--override-card"):
        read_judge_template(options(tmp_path, judge_prompt=DEFAULT))
    assert "{{response}}" in read_judge_template(options(tmp_path, judge_prompt=DEFAULT, override_card=True))
    assert "other than the policy's card" in capsys.readouterr().out


def test_a_model_without_a_card_gets_the_default(tmp_path):
    assert read_judge_template(options(tmp_path)) == (ROOT / DEFAULT).read_text().removesuffix("\n")


class Letters:
    """A tokenizer of single letters."""

    def encode(self, text, add_special_tokens):
        return list(map(ord, text))


def test_words_of_several_tokens_cannot_be_kept_out():
    problem = make_problem(CHAIN.text, "12")
    reader, why = read_traces({problem.id: problem}, Letters())
    assert reader is None
    assert "'wait' is more than one token" in why


def test_checks_while_solving_by_hand():
    """b is wrong and refused. Then c is right for its operands and accepted in a second pass."""
    lines = ["<think>", "b=29*11=12", "wait", "b=29*11=19", "c=19-7=12", "check", "c=19-7=12", "</think>", "c=19-7=12"]
    found = list(solving_checks(record(response="\n".join(lines)), CHAIN))
    assert [(c.wrong, c.accepted) for c in found] == [(True, False), (False, True)]


def test_checks_while_judging_by_hand():
    """The shown b is wrong and accepted. The shown c follows from the shown b and is refused."""
    shown = "b=29*11=12\nc=12-7=5\n\\boxed{5}"
    verdict = "<think>\nb=29*11=12 ok\nc=12-7=6 bad\n</think>\n\\boxed{No}"
    found = list(judging_checks(record(response=verdict), CHAIN, shown))
    assert [(c.wrong, c.accepted) for c in found] == [(True, True), (False, False)]


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("<think>\nb=29*11=12", True),
        ("<think>\nb=29*11=12\nwait", False),
        ("<think>\nb=29*11=12\nwait\nb=29*11=19", False),
        ("<think>\nb=29*11=12\nwait\nb=29*11=19\nc=19-7=12", True),
        ("<think>\nb=29*11=12\n</think>\nb=29*11=12", False),
        ("<think>", False),
    ],
)
def test_a_recheck_is_due_behind_a_step_of_the_thinking_part(text, due):
    assert recheck_due(text) is due


def test_rechecked_steps_by_hand():
    """Of the steps b and c, b alone is rechecked. The line behind the recheck is none of the steps."""
    lines = ["<think>", "b=29*11=12", "wait", "b=29*11=19", "c=19-7=12", "</think>", "c=19-7=12"]
    assert rechecked_steps([record(response="\n".join(lines))]) == 0.5
