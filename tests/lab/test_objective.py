"""Advantages, loss and Adam against naive twins."""

import math

import pytest
import torch

from benchmarks.lab.adam import Adam, AdamConfig
from benchmarks.lab.objective import Clip, group_advantages, policy_loss


def test_advantages_of_a_literal_group():
    advantages, mixed = group_advantages(torch.tensor([[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]]), 3)
    spread = math.sqrt(1 / 3)
    expected = [(2 / 3) / spread, (-1 / 3) / spread, (-1 / 3) / spread, 0, 0, 0]
    assert advantages[0].tolist() == pytest.approx(expected, abs=1e-4)
    assert mixed[0].tolist() == [True] * 3 + [False] * 3


def naive_loss(new, old, advantages, mask, tokens, clip):
    total = 0.0
    for row, advantage in enumerate(advantages):
        for place in range(len(mask[row])):
            if not mask[row][place]:
                continue
            ratio = math.exp(new[row][place] - old[row][place])
            term = max(-advantage * ratio, -advantage * min(max(ratio, 1 - clip.low), 1 + clip.high))
            total += min(term, -advantage * clip.dual) if advantage < 0 else term
    return total / tokens


@pytest.mark.parametrize("rows, length", [(3, 4), (40, 25)])
def test_loss_is_its_naive_twin(draw, rows, length):
    new, old = -torch.rand(2, rows, length, generator=draw) * 3, -torch.rand(2, rows, length, generator=draw) * 3
    advantages = torch.randn(2, rows, generator=draw)
    mask = torch.rand(2, rows, length, generator=draw) < 0.7
    tokens = mask.sum((1, 2))
    losses = policy_loss(new, old, advantages, mask, tokens, Clip())
    for run in (0, 1):
        expected = naive_loss(*(x[run].tolist() for x in (new, old, advantages, mask)), int(tokens[run]), Clip())
        assert losses[run].item() == pytest.approx(expected, rel=1e-4)


def step_both(rates, norm, steps, draw):
    """(weights of the ensemble, weights of a torch AdamW for each run) after ``steps`` random gradients."""
    start = {"a": torch.randn(2, 3, 5, generator=draw), "b": torch.randn(2, 4, generator=draw)}
    ours = {name: value.clone().requires_grad_(True) for name, value in start.items()}
    theirs = [{name: value[run].clone().requires_grad_(True) for name, value in start.items()} for run in (0, 1)]
    adam = Adam(ours, torch.tensor(rates), AdamConfig(largest_norm=norm))
    torches = [
        torch.optim.AdamW(list(w.values()), rate, (0.9, 0.999), weight_decay=0.0)
        for w, rate in zip(theirs, rates, strict=True)
    ]
    for _ in range(steps):
        for name in start:
            gradient = torch.randn(start[name].shape, generator=draw)
            ours[name].grad = gradient.clone()
            for run in (0, 1):
                theirs[run][name].grad = gradient[run].clone()
        adam.step()
        for weights, optimiser in zip(theirs, torches, strict=True):
            torch.nn.utils.clip_grad_norm_(list(weights.values()), norm)
            optimiser.step()
    return ours, theirs


@pytest.mark.parametrize("norm", [1.0, 100.0])
def test_adam_is_torchs_for_each_run(draw, norm):
    ours, theirs = step_both((1e-2, 3e-2), norm, 7, draw)
    for run in (0, 1):
        for name, value in theirs[run].items():
            assert torch.allclose(ours[name][run], value, atol=1e-5)


def test_a_run_that_is_not_live_stands_still(draw):
    weights = {"a": torch.randn(2, 3, generator=draw).requires_grad_(True)}
    before = weights["a"].detach().clone()
    adam = Adam(weights, torch.tensor([0.1, 0.1]))
    weights["a"].grad = torch.ones(2, 3)
    adam.step(live=torch.tensor([True, False]))
    assert torch.equal(weights["a"][1], before[1])
    assert not torch.equal(weights["a"][0], before[0])
