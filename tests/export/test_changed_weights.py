"""The benchmark that says what a step changed."""

import math

import torch

from benchmarks.stages.changed_weights import share


def test_the_share_counts_elements_of_all_pairs():
    zeros = torch.zeros(3, 4)
    changed = zeros.clone()
    changed[0, :3] = 1.0
    assert share(iter([(zeros, changed), (zeros, zeros)])) == (3 / 24, 24)


def test_a_change_below_bfloat16_counts():
    one = torch.ones(2)
    assert share(iter([(one, one + torch.tensor([0.0, 1e-6]))])) == (0.5, 2)


def test_nothing_compared_is_no_share():
    assert math.isnan(share(iter([]))[0])
