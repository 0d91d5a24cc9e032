"""Hostile and odd completions: not one may be rewarded wrongly, and not one may outlive the outer limit."""

from __future__ import annotations

import pytest

from rewards.grading.dispatcher import PoolLimits
from rewards.grading.pool import GraderPool
from rewards.types import Problem, Reason
from rewards.verdict import grade_verdict

NOTHING = {Reason.NO_FINAL_ANSWER}
CUT = {Reason.TRUNCATED}
WORK = {Reason.UNEVALUATED, Reason.TOO_COMPLEX}
REFUSED = {Reason.UNPARSABLE}
UNREAD = {Reason.UNCOVERED}
WRONG = {Reason.WRONG}
ANY = set(Reason) - {Reason.CORRECT}

# (gold, completion, reasons that are right). Every one of them must score 0.
WORTH_NOTHING = [
    # No answer where one belongs.
    ("7", "", NOTHING),
    ("7", "So in the end 7", NOTHING),
    ("7", "The final answer is **7**.", NOTHING),
    ("73", "Final Answer: **73**", NOTHING),
    ("7", "<think>so \\boxed{7}", NOTHING),
    ("7", "<think>so \\boxed{7}</think>", NOTHING),
    ("7", "<think>so \\boxed{7}</think> It is as computed above.", NOTHING),
    ("7", "<think>a</think><think>b</think> \\boxed{8} </think> the box above", NOTHING),
    ("7", "<think>a</think> \\boxed{7} <think> or is it", NOTHING),
    ("7", "<think> \\boxed{7} </Think >", NOTHING),
    ("7", "<think><think><think>\\boxed{7}", NOTHING),
    ("7", "boxed{7}", NOTHING),
    ("7", "\\boxedtext{7}", NOTHING),
    ("7", "$7$ and \\framebox{7}", NOTHING),
    # The last box is cut off or empty; an earlier one does not stand in.
    ("7", "\\boxed{7} and then \\boxed{", CUT),
    ("7", "\\boxed{7} \\boxed{}", CUT),
    ("7", "\\boxed{7} \\boxed{ }", CUT),
    ("7", "\\boxed{7} \\boxed{\\text{}}", CUT),
    ("7", "\\boxed{7} \\boxed{\\quad\\,}", CUT),
    ("7", "\\boxed{7", CUT),
    ("7", "\\boxed", CUT),
    ("7", "\\boxed 7", CUT),
    ("7", "\\boxed{8 \\boxed{7}", CUT),
    ("7", "\\boxed{\\{7}", UNREAD),
    ("8", "\\boxed{" * 20_000 + "8" + "}" * 20_000, {Reason.TOO_COMPLEX}),
    ("7", "\\boxed{" + "{" * 3000 + "7", CUT),
    # The problem handed back.
    ("1024", "\\boxed{2^{10}}", WORK),
    ("7", "\\boxed{\\int_0^7 1 dx}", WORK),
    ("7", "\\boxed{∫_0^7 1 dx}", WORK),
    ("5050", "\\boxed{\\sum_{k=1}^{100} k}", WORK),
    ("120", "\\boxed{5!}", WORK),
    ("24", "\\boxed{\\prod_{k=1}^4 k}", WORK),
    ("10", "\\boxed{\\binom{5}{2}}", WORK),
    ("7", "\\boxed{\\sqrt{49}}", WORK),
    ("3", "\\boxed{\\log_2 8}", WORK),
    ("1", "\\boxed{\\sin(\\pi/2)}", WORK),
    ("6", "\\boxed{\\gcd(12, 18)}", WORK),
    ("7", "\\boxed{\\lfloor 7.5 \\rfloor}", WORK),
    ("7", "\\boxed{\\max(3, 7)}", WORK),
    ("7", "\\boxed{\\lim_{x\\to 7} x}", WORK),
    ("7", "\\boxed{7^1}", WORK),
    ("\\frac{\\sqrt{2}}{2}", "\\boxed{\\sin 45^\\circ}", WORK),
    ("\\sqrt{2}", "\\boxed{\\int_0^{\\sqrt{2}} 1 dx}", WORK),
    ("\\frac{n(n+1)}{2}", "\\boxed{\\sum_{k=1}^{n} k}", WORK),
    ("(3, 9)", "\\boxed{(3, 3^2)}", WORK),
    # Several answers, or an answer and its denial.
    ("7", "\\boxed{7, 8}", WRONG),
    ("7", "\\boxed{7 \\text{ or } 8}", WRONG),
    ("7", "\\boxed{6} or \\boxed{7}", WRONG),
    ("7", "\\boxed{6}, \\boxed{7}", WRONG),
    ("7", "".join(f"\\boxed{{{n}}}" for n in range(1, 10)), WRONG),
    ("9", ", ".join(f"\\boxed{{{n}}}" for n in range(1, 10)), WRONG),
    ("7", "\\boxed{7} " + "but on second thought " * 50 + "\\boxed{8}", WRONG),
    ("7", "\\boxed{7 \\text{ or 8}}", ANY),
    ("7", "\\boxed{7 \\text{ not}}", ANY),
    ("x+1", "\\boxed{x+1 \\text{ or } x+2}", WRONG),
    ("B", "\\boxed{(B) or (C)}", ANY),
    ("B", "\\boxed{A, B, C, D}", ANY),
    ("3", "\\boxed{\\pm 3}", WRONG),
    ("\\pm 3", "\\boxed{3}", WRONG),
    # False statements around the right number.
    ("7", "\\boxed{8 = 7}", WRONG),
    ("7", "\\boxed{x + 1 = 7}", WRONG),
    ("x+1", "\\boxed{5 = x+1}", WRONG),
    ("x = 7", "\\boxed{y = 7}", WRONG),
    ("7", "\\boxed{x + 7 - x}", WRONG),
    ("7", "\\boxed{8 \\approx 7}", WRONG),
    ("7", "\\boxed{x = 8 = 7}", WRONG),
    ("x+1", "\\boxed{z = x+2 = x+1}", WRONG),
    ("7", "\\boxed{7 \\ne 8}", WRONG),
    ("7", "\\boxed{7 > 6}", WRONG),
    ("7", "\\boxed{7 \\text{ minus one}}", WRONG),
    ("7", "\\boxed{7 \\text{ squared}}", WRONG),
    ("7", "\\boxed{7 \\text{ million}}", WRONG),
    ("7", "\\boxed{7 \\text{ is wrong}}", WRONG),
    ("7", "\\boxed{7 + \\text{something}}", UNREAD),
    ("x+1", "\\boxed{x+1 \\pmod 5}", ANY),
    # Numbers that only look alike.
    ("7", "\\boxed{٧}", REFUSED),
    ("7", "\\boxed{７}", REFUSED),
    ("25", "\\boxed{2⁵}", WORK),
    ("0.5", "\\boxed{⅓}", WRONG),
    ("7", "\\boxed{\u200f7}", REFUSED),
    ("17", "\\boxed{\u202e71}", REFUSED),
    ("7", "\\boxed{7\x00}", REFUSED),
    ("7", "\\boxed{7\u200b}", REFUSED),
    ("17", "\\boxed{1\\boxed{7}}", ANY),
    ("1.22", "\\boxed{1,22}", WRONG),
    ("1234", "\\boxed{(1,234)}", WRONG),
    ("0.5", "\\boxed{0.5\\%}", WRONG),
    ("6", "\\boxed{110_2}", WRONG),
    ("7 \\text{ cm}", "\\boxed{7 \\text{ m}}", WRONG),
    ("\\frac{1}{3}", "\\boxed{0.33}", WRONG),
    ("\\frac{1}{2004!}", "\\boxed{\\frac{1}{2006!}}", ANY),
    ("\\frac{\\sqrt{2}}{10^{20}}", "\\boxed{\\frac{\\sqrt{3}}{10^{20}}}", WRONG),
    ("\\frac{\\pi}{10^9}", "\\boxed{0.0}", WRONG),
    ("(1,2)", "\\boxed{(2,1)}", WRONG),
    ("(1,2)", "\\boxed{[1,2]}", WRONG),
    ("n=2,3,4", "\\boxed{n=1,2,3}", WRONG),
    ("AB=4, CD=5", "\\boxed{5}", WRONG),
    ("p - q", "\\boxed{p, q}", WRONG),
    ("\\text{odd}", "\\boxed{\\text{oddd}}", WRONG),
    ("7", "\\boxed{\\infty}", WRONG),
    ("7", "\\boxed{\\text{nan}}", WRONG),
    # Work for the grader.
    ("7", "\\boxed{9^{9^{9^{9}}}}", WORK),
    ("x", "\\boxed{x^{9^{9^{9}}}}", WORK),
    ("x", "\\boxed{x + (10^8)!}", WORK),
    ("7", "\\boxed{(10^8)!}", WORK),
    ("7", "\\boxed{\\sum_{k=1}^{10^9} 1/k}", WORK),
    ("7", "\\boxed{" + "{" * 3000 + "8" + "}" * 3000 + "}", {Reason.TOO_COMPLEX}),
    ("x", "\\boxed{" + "(" * 300 + "x+1" + ")" * 300 + "}", {Reason.TOO_COMPLEX}),
    ("x", "\\boxed{" + "\\frac{1}{1+" * 60 + "x" + "}" * 60 + "}", {Reason.TOO_COMPLEX}),
    ("7", "\\boxed{" + "9" * 200_000 + "}", {Reason.TOO_COMPLEX}),
    ("x", "\\boxed{" + "x+" * 5000 + "1}", {Reason.TOO_COMPLEX}),
    ("x", "\\boxed{(x+1)^{99999}}", {Reason.TOO_COMPLEX, Reason.WRONG}),
    ("7", "x" * 200_000, NOTHING),
    ("7", "\\boxed{8}" * 20_000, WRONG),
    ("7", "\\boxed{" * 20_000, CUT),
    ("7", "<think>" * 20_000 + "\\boxed{7}", NOTHING),
    # Not mathematics.
    ("7", "\\boxed{__import__('os').system('true')}", ANY),
    ("7", "\\boxed{\\input{/etc/passwd}}", ANY),
    ("7", "\\boxed{\\def\\x{7}\\x}", ANY),
    ("7", "\\boxed{%7}", ANY),
    ("7", "\\boxed{...}", ANY),
]

# (gold, completion): odd, but right; the policy rewards them.
WORTH_ONE = [
    ("7", "<think>\\boxed{8}</think> \\boxed{7}"),
    ("7", "the prompt opened the tag \\boxed{8} </think> \\boxed{7}"),
    ("7", "<think>a</think> \\boxed{8} <think>b</think> \\boxed{7}"),
    ("7", "\\boxed{6}. Wait, that is wrong. \\boxed{7}"),
    ("7", "\\boxed{\\boxed{7}}"),
    ("7", "$$\\boxed { 7 }$$ " + "and so on " * 1000),
    ("7", "\\fbox{7}"),
    ("840", "\\boxed{840} so \\boxed{840}"),
    ("\\text{Evelyn}", "\\boxed{Evelyn}"),
    ("1,2,3", "\\boxed{1}, \\boxed{2} and \\boxed{3}"),
    ("10", "\\boxed{(9+1)}"),
    ("50\\%", "\\boxed{50}"),
    ("4,10,-2", "\\boxed{10,4,-2}"),
    ("0.5", "\\boxed{½}"),
]


@pytest.fixture(scope="module")
def pool():
    with GraderPool(workers=1) as shared:
        yield shared


@pytest.mark.parametrize(("gold", "completion", "reasons"), WORTH_NOTHING, ids=range(len(WORTH_NOTHING)))
def test_hostile_completion_scores_zero_for_the_right_reason(pool, gold, completion, reasons):
    result = pool.grade(Problem("p", "", gold), completion)
    assert (result.score, result.reason in reasons) == (0.0, True), result.reason


@pytest.mark.parametrize(("gold", "completion"), WORTH_ONE, ids=range(len(WORTH_ONE)))
def test_odd_but_right_completion_scores_one(pool, gold, completion):
    assert pool.grade(Problem("p", "", gold), completion).reason is Reason.CORRECT


def test_no_probe_outlives_the_outer_limit(pool):
    results = pool.grade_many([(Problem("p", "", gold), text) for gold, text, _ in WORTH_NOTHING])
    assert max(result.seconds for result in results) <= PoolLimits().outer_seconds


VERDICTS_WORTH_NOTHING = [
    ("", {Reason.NO_FINAL_ANSWER}),
    ("Yes", {Reason.NO_FINAL_ANSWER}),
    ("<think></think>Yes", {Reason.NO_FINAL_ANSWER}),
    ("<think>\\boxed{Yes}</think>", {Reason.NO_FINAL_ANSWER}),
    ("<think>\\boxed{Yes}", {Reason.NO_FINAL_ANSWER}),
    ("\\boxed{Yes and No}", {Reason.BAD_VERDICT}),
    ("\\boxed{Yes/No}", {Reason.BAD_VERDICT}),
    ("\\boxed{No}\\boxed{Yes}", {Reason.BAD_VERDICT}),
    ("\\boxed{No} / \\boxed{Yes}", {Reason.BAD_VERDICT}),
    ("\\boxed{No} or \\boxed{Yes}", {Reason.BAD_VERDICT}),
    ("\\boxed{yes}", {Reason.BAD_VERDICT}),
    ("\\boxed{YES}", {Reason.BAD_VERDICT}),
    ("\\boxed{Yes.}", {Reason.BAD_VERDICT}),
    ("\\boxed{Correct}", {Reason.BAD_VERDICT}),
    ("\\boxed{7}", {Reason.BAD_VERDICT}),
    ("\\boxed{Yes}, if 7 is the answer", {Reason.BAD_VERDICT}),
    ("End with \\boxed{Yes} if it is correct, \\boxed{No} if it is not.", {Reason.BAD_VERDICT}),
    ("\\boxed{Yes} \\boxed{}", {Reason.TRUNCATED}),
    ("\\boxed{Yes} \\boxed{Ye", {Reason.TRUNCATED}),
    ("\\boxed{Y\u200bes}", {Reason.BAD_VERDICT}),
    ("\\boxed{Υes}", {Reason.BAD_VERDICT}),  # a Greek capital upsilon
    ("\\boxed{Yes\x00}", {Reason.BAD_VERDICT}),
    ("\\boxed{\\boxed{Yes}", {Reason.TRUNCATED}),
    ("\\boxed{Yes} <think> hmm", {Reason.NO_FINAL_ANSWER}),
    ("\\boxed{Yes} or maybe \\boxed{No}", {Reason.BAD_VERDICT}),
    ("\\boxed{No}\n```\nbut \\boxed{Yes}, and so on", {Reason.BAD_VERDICT}),
    ("checked. \\boxed{No}", {Reason.WRONG}),
    ("\\boxed{Yes}. But the sum is off, so \\boxed{No}", {Reason.WRONG}),
]


@pytest.mark.parametrize(("completion", "reasons"), VERDICTS_WORTH_NOTHING, ids=range(len(VERDICTS_WORTH_NOTHING)))
def test_bad_verdict_on_a_correct_solution_scores_zero(completion, reasons):
    result = grade_verdict(completion, label=True)
    assert (result.score, result.reason in reasons) == (0.0, True), result.reason


@pytest.mark.parametrize("label", [True, False])
def test_no_malformed_verdict_pays_under_either_label(label):
    malformed = [text for text, reasons in VERDICTS_WORTH_NOTHING if Reason.WRONG not in reasons]
    assert sum(grade_verdict(text, label).score for text in malformed) == 0


@pytest.mark.parametrize("tail", ["!", ".", "**", "\n```", "$$", "</answer>", " <|im_end|>", "\\]", '"', ")."])
def test_a_verdict_may_be_followed_by_closers(tail):
    assert grade_verdict("So \\boxed{Yes}" + tail, label=True).score == 1.0


def test_the_verdict_is_a_field_of_the_result():
    said = [grade_verdict(text, label=True).verdict for text in ("\\boxed{Yes}", "\\boxed{No}", "\\boxed{Maybe}")]
    assert said == [True, False, None]
