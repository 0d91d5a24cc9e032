"""The rules of the world as rewards of the product equal the lab's verifier."""

import pytest
import torch

from benchmarks.lab.evaluation import flat
from benchmarks.lab.worlds.base import TOKENS, Traces, grade_verdicts
from benchmarks.lab_pair.prepare import direct_response
from benchmarks.lab_pair.words import VERDICTS, text_of
from benchmarks.lab_pair.world import problem_rows, verify
from rewards.types import Problem
from rewards.verdict import grade_verdict
from tests.lab_pair.conftest import GROUP, NAME


def shown(tokens, length):
    """The text that the product grades: without padding and without the end."""
    return text_of(token for token in tokens[:length] if token != TOKENS.end)


def as_problem(row):
    return Problem("", row["problem"], row["gold"], {"cell": row["cell"], "steps": row["steps"]})


def rewards(small, traces):
    rows = [as_problem(row) for row in problem_rows(NAME, small.problems) for _ in range(GROUP)]
    pairs = zip(rows, traces.tokens.tolist(), traces.lengths.tolist(), strict=True)
    return [verify(problem, shown(tokens, length)).score for problem, tokens, length in pairs]


def test_solving_is_graded_as_in_the_lab(small):
    traces = flat(small.solved)
    found = rewards(small, traces)
    assert found == small.world.grade(small.repeated, traces).right.float().tolist()
    assert 0 < sum(found) < len(found)


@pytest.mark.parametrize("answer", ["right", "wrong"])
def test_rechecks_are_graded_as_in_the_lab(small, answer):
    """Forced rechecks, and responses that repeat the refused value."""
    everywhere = torch.ones(len(small.repeated["steps"]), dtype=torch.bool)
    draw = torch.Generator().manual_seed(3)
    traces = small.world.traces_in_style(small.repeated, draw, everywhere, ~everywhere)
    if answer == "wrong":
        again = (traces.tokens == TOKENS.refused).int().argmax(1)
        rows = torch.arange(len(again))[again > 0]
        traces.tokens[rows, again[rows] + 5] = traces.tokens[rows, again[rows] - 2]
    found = rewards(small, traces)
    assert found == small.world.grade(small.repeated, traces).right.float().tolist()
    assert 0 < sum(found) < len(found)


def test_a_truncated_response_earns_nothing(small):
    problem = as_problem(problem_rows(NAME, small.problems)[0])
    values = small.problems["gold"][0].tolist()
    right = direct_response(small.problems, 0, values)
    cut = [*right[:-2] * small.world.response_limit, *right][-small.world.response_limit :]
    assert verify(problem, text_of(right)).score == 1
    assert verify(problem, text_of(cut)).score == 0


def verdicts(labels, tokens, lengths):
    pairs = zip(tokens.tolist(), lengths.tolist(), labels.tolist(), strict=True)
    return [grade_verdict(shown(row, length), label, VERDICTS).score for row, length, label in pairs]


def test_judging_is_graded_as_in_the_lab(small):
    """Responses with an end, a single verdict and no recheck. The README names all other responses."""
    traces = flat(small.judged)
    plain = small.judged.ended[0] & ((traces.tokens == TOKENS.verdict).sum(1) < 2)
    plain &= ~(traces.tokens == TOKENS.recheck).any(1)
    traces = Traces(traces.tokens[plain], traces.lengths[plain])
    labels = torch.arange(len(traces.lengths)) % 2 == 0
    found = verdicts(labels, traces.tokens, traces.lengths)
    assert found == grade_verdicts(labels, traces).tolist()
    assert 0 < sum(found) < len(found)


MALFORMED = {
    "no box": [TOKENS.right, TOKENS.end],
    "two words": [TOKENS.verdict, TOKENS.wrong, TOKENS.right, TOKENS.end],
    "text behind": [TOKENS.verdict, TOKENS.right, TOKENS.fill, TOKENS.end],
    "no word": [TOKENS.verdict, TOKENS.end],
    "a value": [TOKENS.verdict, 31, TOKENS.right, TOKENS.end],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_verdicts_earn_nothing_in_both(name):
    row = torch.tensor([MALFORMED[name]])
    traces = Traces(row, torch.tensor([row.shape[1]]))
    for label in (torch.tensor([True]), torch.tensor([False])):
        assert verdicts(label, row, traces.lengths) == grade_verdicts(label, traces).tolist() == [0.0]


DIFFERENT = {
    "a recheck": ([TOKENS.recheck, TOKENS.verdict, TOKENS.right, TOKENS.end], 1.0, 0.0),
    "no end": ([TOKENS.verdict, TOKENS.right], 1.0, 0.0),
    "a box inside a box": ([TOKENS.verdict, TOKENS.verdict, TOKENS.right, TOKENS.end], 0.0, 1.0),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_known_differences_of_judging(name):
    """The README names each. A response without an end has no loss in either."""
    tokens, product, lab = DIFFERENT[name]
    row, label, length = torch.tensor([tokens]), torch.tensor([True]), torch.tensor([len(tokens)])
    assert (verdicts(label, row, length), grade_verdicts(label, Traces(row, length)).tolist()) == ([product], [lab])
