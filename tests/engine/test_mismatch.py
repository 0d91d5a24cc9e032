"""Figures of how trainer and rollout differ, against loops."""

import math

import pytest
import torch

from judgerlvr.engine.in_training.mismatch import Sample, mismatch_metrics

LAYERS = 3


def samples(with_experts):
    draw = torch.Generator().manual_seed(0)
    made = []
    for tokens, response in ((12, 5), (30, 20)):
        trainer, rollout = -torch.rand(2, response, generator=draw)
        experts = torch.randint(0, LAYERS + 1, (tokens,), generator=draw) if with_experts else None
        made.append(Sample(trainer, rollout, experts))
    return made


def test_metrics_equal_loops():
    made = samples(with_experts=True)
    found = mismatch_metrics(made, LAYERS)
    gaps, differing, weights, whole = [], 0, [], []
    for sample in made:
        pairs = list(zip(sample.trainer.tolist(), sample.rollout.tolist(), strict=True))
        gaps += [rollout - trainer for trainer, rollout in pairs]
        weights += [math.exp(trainer - rollout) for trainer, rollout in pairs]
        whole.append(math.exp(sum(trainer - rollout for trainer, rollout in pairs)))
        first = len(sample.experts) - len(pairs)
        differing += sum(int(sample.experts[first + place - 1]) for place in range(len(pairs)))
    assert found["mismatch/kl"] == pytest.approx(sum(gaps) / 25)
    assert found["mismatch/equal_experts"] == pytest.approx(1 - differing / (25 * LAYERS)) and differing > 0
    for name, values in (("ess", weights), ("ess_sequences", whole)):
        size = sum(values) ** 2 / sum(value * value for value in values)
        assert found[f"mismatch/{name}"] == pytest.approx(size / len(values))


def test_without_replay_nothing_is_said_of_experts():
    assert "mismatch/equal_experts" not in mismatch_metrics(samples(with_experts=False))
