"""Tokens at equal steps, with and without truncated responses."""

import json
import math
from dataclasses import asdict

import pytest
import torch

from benchmarks.lab import ends
from benchmarks.lab.cells import all_cells
from benchmarks.lab.worlds.making import make_world, stored_world


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


@pytest.mark.parametrize("cell", ["chain-92-05", "gate-s-polarity-05"])
def test_a_record_names_the_world_it_is_of(cell):
    config = all_cells()[cell].world
    assert stored_world(json.loads(json.dumps(asdict(config)))) == config


def test_the_limit_of_the_chain():
    assert make_world(all_cells()["chain-92-05"].world, torch.device("cpu")).response_limit == 144
