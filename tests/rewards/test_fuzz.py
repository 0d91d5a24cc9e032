"""Random text through extraction and comparison: no exception, no hang, no score outside {0, 1}."""

from __future__ import annotations

import random
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.rewards_fuzz import GOLDS, PIECES, formula, formula_beside
from rewards.auditing.second_grader import second_opinion
from rewards.comparison.compare import compare_quick
from rewards.comparison.tokens import tokenize
from rewards.extraction.extract import final_answer
from rewards.grading.pool import GraderPool
from rewards.types import Problem, Reason
from rewards.verdict import grade_verdict

soup = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25).map("".join)
texts = soup | soup.map(lambda text: f"\\boxed{{{text}}}") | st.text(max_size=60)


@settings(max_examples=2000, deadline=None)
@given(completion=texts, gold=st.sampled_from(GOLDS) | soup)
def test_what_runs_in_the_caller_never_raises(completion, gold):
    for mode in ("strict", "lenient"):
        answer = final_answer(completion, mode=mode).answer
        if answer is not None and gold.strip():
            result = compare_quick(gold=gold, answer=answer)
            assert result is None or (
                result.score in (0.0, 1.0) and (result.score == 1) == (result.reason is Reason.CORRECT)
            )
            assert second_opinion(gold=gold, answer=answer) in (True, False, None)


def test_nested_operations_never_raise():
    rng = random.Random(5)
    for _ in range(1500):
        gold = formula(rng)
        result = compare_quick(gold=gold, answer=formula_beside(gold, rng))
        assert result is None or result.score in (0.0, 1.0)


@settings(max_examples=1000, deadline=None)
@given(completion=texts, label=st.booleans())
def test_no_random_text_earns_both_verdicts(completion, label):
    assert grade_verdict(completion, label).score + grade_verdict(completion, not label).score <= 1.0


@settings(max_examples=1000, deadline=None)
@given(text=soup)
def test_tokens_joined_are_the_text(text):
    assert "".join(token.text for token in tokenize(text)) == text


@settings(max_examples=500, deadline=None)
@given(first=soup, second=soup)
def test_equality_is_symmetric_where_no_policy_concerns_the_answer_alone(first, second):
    results = compare_quick(gold=first, answer=second), compare_quick(gold=second, answer=first)
    if all(result is not None and result.reason in (Reason.CORRECT, Reason.WRONG) for result in results):
        assert results[0].score == results[1].score


@pytest.mark.parametrize(
    "piece", sorted({*PIECES, "\\frac1", "1,", "(1,", "x=", "a_", "1/", "--", "\\sqrt[", "A,", "{1}"})
)
def test_a_piece_repeated_for_long_never_raises_in_the_caller(piece):
    for text in ((piece * 1990)[:1990], "1" + (piece * 1990)[:1988] + "1", (piece * 995)[:995] + "}" * 995):
        compare_quick(gold="7", answer=text)
        compare_quick(gold="x+1", answer=text)
        compare_quick(gold=text, answer="1,2")
        second_opinion(gold="x+1", answer=text)
        final_answer(f"\\boxed{{{text * 50}}}")


def run_through_the_pool(count: int) -> set[float]:
    """Draw ``count`` (gold, completion) pairs and grade them all; the scores seen."""
    pairs: list[tuple[Problem, str]] = []

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(texts, st.sampled_from(GOLDS))
    def draw(completion, gold):
        pairs.append((Problem("p", "", gold), completion))

    draw()
    scores: set[float] = set()
    with GraderPool(workers=2) as pool:
        while batch := list(islice(pairs, 1000)):
            del pairs[:1000]
            results = pool.grade_many(batch)
            assert all((result.score == 1) == (result.reason is Reason.CORRECT) for result in results)
            scores |= {result.score for result in results}
    return scores


@pytest.mark.parametrize("count", [1500, pytest.param(100_000, marks=pytest.mark.slow)])
def test_random_text_through_the_pool(count):
    assert run_through_the_pool(count) <= {0.0, 1.0}
