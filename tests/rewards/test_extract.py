"""Where the answer is looked for, and where it must not be found."""

from __future__ import annotations

import pytest

from rewards.errors import InputError
from rewards.extraction.boxes import outer_boxes
from rewards.extraction.extract import final_answer
from rewards.extraction.gold import gold_answer
from rewards.extraction.thinking import prompt_opens_thinking, solution_part
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
        ("<think>a <think> b</think>c", False, "c"),
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
    assert final_answer(completion, mode="lenient").free


def test_lenient_mode_prefers_a_later_final_answer_to_a_box():
    assert final_answer("\\boxed{6}. The final answer is 7", mode="lenient").free


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
