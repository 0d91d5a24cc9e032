"""Tokens at equal steps, with and without truncated responses."""

import math

import pytest

from benchmarks.lab import ends
from benchmarks.lab.worlds.chain import ChainConfig, ChainWorld, longest_response
from judgerlvr.config.load import ROOT


def curve(tokens, truncated):
    return [{"tokens": tokens, "truncated": truncated}] * 3


def test_truncated_responses_are_taken_out_of_the_mean():
    """Six responses of 60 tokens and four of the limit of 144."""
    assert ends.tokens_that_end(curve(0.6 * 60 + 0.4 * 144, 0.4), 144) == pytest.approx(60)


def test_the_ratio_is_taken_pair_by_pair():
    pairs = [(curve(40, 0), curve(80, 0)), (curve(50, 0), curve(60, 0))]
    found = ends.log_ratio(pairs, lambda points: points[0]["tokens"])
    assert found.mean == pytest.approx((math.log(2) + math.log(1.2)) / 2)
    assert found.pairs == 2


def test_the_limit_is_that_of_the_world(world):
    assert longest_response(9) == world.response_limit == 144
    assert ChainWorld(ChainConfig(least_steps=1, most_steps=2), world.device).response_limit == longest_response(2)


def test_the_pages_table_of_ends_is_computed_from_the_records():
    """``python -m benchmarks.lab.ends`` prints these lines."""
    assert "\n".join(ends.table()) in (ROOT / "docs" / "when-it-pays.md").read_text()
