"""Where the answer is looked for, and where it must not be found."""

from __future__ import annotations

import re

import pytest

from rewards.errors import InputError
from rewards.extraction import extract
from rewards.extraction.boxes import outer_boxes
from rewards.extraction.extract import final_answer
from rewards.extraction.gold import all_of, any_of, gold_answer, gold_answers
from rewards.extraction.thinking import FORMATS, prompt_opens_thinking, solution_part
from rewards.types import Reason


@pytest.mark.parametrize(
    ("completion", "opened", "solution"),
    [
        ("<think>a</think>b", False, "b"),  # opened in the output
        ("a</think>b", True, "b"),  # opened in the prompt
        ("a</think>b", False, "b"),  # opened in the prompt, unknown to the caller
        ("<think>a", False, None),  # never closed
        ("a", True, None),  # opened in the prompt, never closed
        ("a", False, "a"),  # a policy that does not think
        ("<think></think>b", False, "b"),
        ("<think>a</think>b<think>c</think>d", False, "d"),
        ("<think>a</think>b<think>c", False, None),
        ("<think>a <think> b</think>c", False, None),  # closed once of twice
        ("<think>a <think> b</think> c</think>d", False, "d"),
        ("a</think>b<|im_end|>c", False, "b"),  # the turn is over
        ("<think>a<|im_end|></think>b", False, None),
        ("", True, None),
    ],
)
def test_solution_part(completion, opened, solution):
    assert solution_part(completion, thinking_open=opened) == solution


@pytest.mark.parametrize(
    ("prompt", "opened"), [("q<think>\n", True), ("q<think>\n\n</think>\n\n", False), ("q", False)]
)
def test_template_that_opens_the_thinking_part_is_seen(prompt, opened):
    assert prompt_opens_thinking(prompt) is opened


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        ("\\boxed{7}", ["7"]),
        ("\\boxed{\\frac{1}{2}} \\boxed {x}", ["\\frac{1}{2}", "x"]),
        ("\\boxed{\\{1, 2\\}}", ["\\{1, 2\\}"]),
        ("\\boxed{\\left\\{1\\right.}", ["\\left\\{1\\right."]),
        ("\\boxed{a \\\\} b", ["a \\\\"]),
        ("\\boxed{7", [None]),
        ("\\boxed{\\boxed{7}", [None]),
        ("\\boxed{1}\\boxed", ["1", None]),
        ("\\boxedness{7}", []),
        ("", []),
    ],
)
def test_outer_boxes(text, contents):
    assert [box.content for box in outer_boxes(text)] == contents


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("\\boxed{6}, so \\boxed{7}", "7"),
        ("\\boxed{6}\n\\boxed{7}", "7"),
        ("\\boxed{6}, \\boxed{7}", "6, 7"),
        ("$\\boxed{6}$ and $\\boxed{7}$", "6, 7"),
        ("\\boxed{6} \\text{ or } \\boxed{7}", "6, 7"),
        ("\\boxed{7}, \\boxed{7}", "7"),
        ("\\boxed{1}. Then \\boxed{2}, \\boxed{3}", "2, 3"),
        ("\\boxed{ \\boxed{7} }", "7"),
    ],
)
def test_which_boxes_are_the_answer(completion, answer):
    assert final_answer(completion).answer == answer


@pytest.mark.parametrize("mode", ["strict", "lenient"])
@pytest.mark.parametrize("completion", ["\\boxed{7} \\boxed{", "\\boxed{7} \\boxed{}", "\\boxed{7} \\boxed{~}"])
def test_a_cut_last_box_is_truncated_in_both_modes(completion, mode):
    assert final_answer(completion, mode=mode).reason is Reason.TRUNCATED


@pytest.mark.parametrize("completion", ["so 7", "**7**", "Final answer: 7"])
def test_only_lenient_mode_reads_a_response_without_a_box(completion):
    assert final_answer(completion).reason is Reason.NO_FINAL_ANSWER
    assert (final_answer(completion, mode="lenient").answer or "").strip("*") == "7"


def test_lenient_mode_prefers_a_later_final_answer_to_a_box():
    assert final_answer("\\boxed{6}. The final answer is 7", mode="lenient").answer == "7"


def test_text_of_the_prompt_is_not_graded():
    prompt = "Put it in \\boxed{7}."
    assert final_answer(prompt + " I cannot.", prompt=prompt).reason is Reason.NO_FINAL_ANSWER


def test_unknown_mode_is_an_input_error():
    with pytest.raises(InputError):
        final_answer("7", mode="loose")


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("7", "7"),
        ("so \\boxed{7}.", "7"),
        ("Adding up gives 7.\n#### 7", "7"),
        ("We add the two and find that the final answer is $28 \\%$. I hope it is correct.", "$28 \\%$"),
        ("\\text{the answer is}", "\\text{the answer is}"),
    ],
)
def test_gold_answer_is_found_in_a_solution(gold, answer):
    assert gold_answer(gold) == answer


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_every_thinking_format_closed_unclosed_nested_and_opened_in_the_prompt(form):
    close, opened = form.close, form.open
    assert solution_part(f"{opened} a {close}b") == "b"
    assert solution_part(f"{opened} a") is None
    # A channel has no end of its own, and the final channel ends all channels before.
    assert solution_part(f"{opened} a {opened} b {close}c") == ("c" if form.name == "channel" else None)
    assert solution_part(f"{opened} a {opened} b {close} c {close}d") == "d"
    assert solution_part(f"a {close}b", thinking_open=True) == "b"
    assert solution_part("a", thinking_open=True) is None
    assert prompt_opens_thinking(f"q {opened}") and not prompt_opens_thinking(f"q {opened} {close}")


RIGHT = ["{o}a{c}\\boxed{{7}}", "{o}\\boxed{{8}}{c}So \\boxed{{7}}.", "a{c}\\boxed{{7}}", "{o}a{c}b{o}c{c}\\boxed{{7}}"]
HOSTILE = ["{o}\\boxed{{7}}", "{o}\\boxed{{7}}{c}as above", "{o}a{c}\\boxed{{7}}{o}or", "{o}a{c}\\boxed{{8}}"]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_every_thinking_format_right_and_hostile(form):
    fill = {"o": form.open + " ", "c": form.close}
    assert [final_answer(text.format(**fill)).answer for text in RIGHT] == ["7"] * 4
    assert "7" not in [final_answer(text.format(**fill)).answer for text in HOSTILE]


def test_channels_without_special_tokens_are_read():
    assert final_answer("analysisLet me see \\boxed{8}assistantfinalIt is \\boxed{7}").answer == "7"
    assert final_answer("analysisLet me see \\boxed{7}").reason is Reason.NO_FINAL_ANSWER
    assert final_answer("analysislet us seeassistantanalysis\\boxed{7}").reason is Reason.NO_FINAL_ANSWER


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("she has **12** apples left.", "12"),
        ("Answer: C", "C"),
        ("答案是12。", "12"),
        ("<answer>12</answer>", "12"),
        ("It costs $12 in total.", "$12"),
        ("The answer is √3.", "√3"),
        ("The answer is (2, 3).", "(2, 3)"),
        ("The probability is ½.", "The probability is ½"),
        ("The answer is __12__.", "12"),
        ("This gives a total of 12.", "12"),
        ("Lösung: 12", "12"),
        ("Answer: 12% of the total", "12% of the total"),
        ("Either 6 or 7.", None),
        ("It is not 7.", None),
        ("It is 7 thirds.", None),
        ("There are 6 cats and 7 dogs.", None),
        ("It is minus 7.", None),
    ],
)
def test_lenient_mode_finds_what_people_write_and_one_answer_only(response, answer):
    found = final_answer(response, mode="lenient").answer
    assert (found or "").rstrip(".") == (answer or response.rstrip("."))


@pytest.mark.parametrize("between", [" (alternatively ", " or, failing that, ", " and perhaps ", ", if not "])
def test_a_second_box_in_a_hedge_is_offered_too(between):
    assert final_answer(f"\\boxed{{6}}{between}\\boxed{{7}}").answer == "6, 7"


def test_several_golds():
    assert gold_answers(any_of(["1/2", "\\boxed{0.5}"])) == ("1/2", "0.5")
    assert gold_answers(all_of(["1", "2"])) == ("1, 2",)
    assert gold_answers('{"any": []}') == ('{"any": []}',)


def test_a_text_that_denies_a_box_passes_the_quick_look_at_its_last_signs():
    """Every pair of words that the pattern of denials is made of, with and without what may follow the pair."""
    denied = extract._DENIED_BEFORE
    words = sorted(
        set(re.findall(r"[A-Za-z]+", denied.pattern)) | {"isn't", "isn\u2019t", "~~", "<s>", "<del>", "<!--"}
    )
    heads = [f"{first} {second}{end}" for first in words for second in words for end in ("", " **", ": $", "\u2003")]
    found = [head for head in heads if denied.search(head)]
    assert len(found) > 1000
    assert [head for head in found if not extract._MAY_DENY.search(head)] == []
