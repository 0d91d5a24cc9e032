"""Figures of how trainer and rollout differ, against loops."""

import math
from types import SimpleNamespace

import pytest
import torch

from judgerlvr.engine.in_training import mismatch
from judgerlvr.engine.in_training.mismatch import Sample, mismatch_metrics, read_samples

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


COLUMNS = {
    "old_log_probs": [[-1.0, -9.0, -2.0], [-3.0], [-4.0]],
    "rollout_log_probs": [[-1.5, 0.0, -2.5], [-3.5], [-4.5]],
    "response_mask": [[1, 0, 1], [0], [1]],
}


@pytest.fixture
def batch(monkeypatch):
    """Three samples: one with a token of the environment, one that is masked whole, one of padding."""
    values = {name: [torch.tensor(row) for row in rows] for name, rows in COLUMNS.items()}
    columns = {name: SimpleNamespace(unbind=lambda rows=rows: rows) for name, rows in values.items()}

    def get(keys, partition_id, select_fields):
        kept = {name: columns[name].unbind()[: len(keys)] for name in select_fields}
        return {name: SimpleNamespace(unbind=lambda rows=rows: rows) for name, rows in kept.items()}

    monkeypatch.setattr(mismatch, "transfer_queue", SimpleNamespace(kv_batch_get=get))
    return SimpleNamespace(keys=["a", "b", "c"], tags=[{}, {}, {"is_padding": True}], partition_id="train")


def test_a_loop_of_your_own_leaves_out_what_the_policy_did_not_write(batch):
    (sample,) = read_samples(batch, False, own_loop=True)
    assert (sample.trainer.tolist(), sample.rollout.tolist()) == ([-1.0, -2.0], [-1.5, -2.5])
    assert mismatch_metrics([sample])["mismatch/kl"] == pytest.approx(-0.5)


def test_without_such_a_loop_all_tokens_count(batch):
    assert [len(sample.trainer) for sample in read_samples(batch, False)] == [3, 1]


def test_a_step_whose_responses_are_all_masked_has_no_mismatch():
    assert mismatch_metrics([]) == {}
