"""Votes against a naive loop over all subsets of the samples."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgerlvr.evaluation.records import Record
from judgerlvr.evaluation.summary import summarise
from judgerlvr.evaluation.voting import RIGHT, Ballot, answer_of, majority_at_k, vote, weighted_at_k
from judgerlvr.sampling.decoding import Decoding
from tests.helpers.records import record

ANSWERS = st.lists(st.sampled_from([RIGHT, "wrong: 1", "wrong: 2", "wrong: 3", None]), min_size=1, max_size=8)


def naive_majority(answers, k):
    won = []
    for subset in combinations(answers, k):
        cast = [answer for answer in subset if answer is not None]
        most = max((cast.count(answer) for answer in cast), default=0)
        winners = {answer for answer in cast if cast.count(answer) == most}
        won.append((RIGHT in winners) / len(winners) if winners else 0.0)
    return sum(won) / len(won)


@settings(deadline=None)
@given(ANSWERS, st.data())
def test_majority_is_the_mean_over_all_subsets(answers, data):
    k = data.draw(st.integers(1, len(answers)))
    assert majority_at_k(answers, k) == pytest.approx(naive_majority(answers, k), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(ANSWERS, st.data())
def test_equal_weights_are_the_majority(answers, data):
    k = data.draw(st.integers(1, len(answers)))
    ballots = [Ballot(answer, 0.5) for answer in answers]
    assert weighted_at_k(ballots, k) == pytest.approx(majority_at_k(answers, k), abs=1e-9)


def test_many_samples_are_near_the_exact_majority():
    answers = [RIGHT] * 20 + ["wrong: 1"] * 25 + ["wrong: 2"] * 15 + [None] * 4
    drawn = weighted_at_k([Ballot(answer) for answer in answers], 8)
    assert drawn == pytest.approx(majority_at_k(answers, 8), abs=0.05)


def test_weights_overrule_numbers_and_unsupported_votes_still_count():
    right, wrong = Ballot(RIGHT, 1.0), Ballot("wrong: 1", 0.4)
    assert vote([right, wrong, wrong]) == 1.0
    assert vote([right, wrong, wrong, wrong]) == 0.0
    assert vote([Ballot(RIGHT, 0.0), Ballot(RIGHT, 0.0), Ballot("wrong: 1", 0.0)]) == 1.0
    assert vote([Ballot(None, 1.0)]) == 0.0


@pytest.mark.parametrize("k", [0, 3])
def test_more_samples_than_there_are_is_an_error(k):
    with pytest.raises(ValueError, match="of 2 samples"):
        majority_at_k([RIGHT, RIGHT], k)


@pytest.mark.parametrize(
    ("made", "answer"),
    [
        (record(answer="1/2"), RIGHT),
        (record(answer=" 1 /  2", score=0.0), "wrong: 1 / 2"),
        (record(answer=None, score=0.0), None),
    ],
)
def test_answers_of_records(made: Record, answer):
    assert answer_of(made) == answer


def test_the_summary_has_the_majority_at_each_k():
    rows = [record(sample=i, score=float(i < 2), answer="1" if i < 2 else str(i)) for i in range(4)]
    curve = summarise(rows, Decoding(n=4))["maj_at_k"]
    assert list(curve) == ["2", "4"]
    assert curve["4"]["value"] == 1.0
    assert curve["2"]["value"] == pytest.approx(naive_majority([RIGHT, RIGHT, "2", "3"], 2))
