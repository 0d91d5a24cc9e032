"""Passes over distinct prefixes give the numbers of passes over every token, for groups of samples of any shape."""

import pytest
import torch

from judgerlvr.engine.devices import TRAINING
from judgerlvr.engine.policy_passes.distinct_prefixes import distinct_prefixes
from tests.helpers.training_engines import (
    VOCABULARY,
    batch_from,
    gradients_of,
    log_probs_of,
    make_engine,
    one_process,
    plain_policy,
)

# (prompts, samples of each, longest prompt, longest response, tokens that responses are drawn from)
SHAPES = [(3, 4, 12, 9, 2), (5, 8, 60, 30, 3), (2, 1, 7, 5, VOCABULARY), (1, 6, 1, 1, 2)]


def samples_of(prompts, samples, longest_prompt, longest_response, variety, seed=0):
    """Sequences int [tokens]: every prompt with responses that may begin alike. Lengths are random."""
    draw = torch.Generator().manual_seed(seed)

    def some(longest, high):
        length = int(torch.randint(1, longest + 1, (), generator=draw))
        return torch.randint(0, high, (length,), generator=draw)

    found = []
    for _ in range(prompts):
        prompt = some(longest_prompt, VOCABULARY)
        found += [torch.cat([prompt, some(longest_response, variety)]) for _ in range(samples)]
    return [found[place] for place in torch.randperm(len(found), generator=draw)]


def row_of(sequences):
    positions = torch.cat([torch.arange(len(sequence)) for sequence in sequences])
    return torch.cat(sequences)[None], positions[None]


@pytest.mark.parametrize("shape", SHAPES)
def test_prefixes_are_those_of_a_plain_search(shape):
    sequences = samples_of(*shape)
    ids, positions = row_of(sequences)
    found = distinct_prefixes(ids, positions)
    ends = [tuple(sequence[: end + 1].tolist()) for sequence in sequences for end in range(len(sequence))]
    first = {prefix: place for place, prefix in reversed(list(enumerate(ends)))}
    assert found.kept.tolist() == sorted(first.values())
    assert [ends[found.kept[number]] for number in found.of_token] == ends


@pytest.fixture(scope="module")
def group():
    with one_process():
        yield


@pytest.mark.parametrize("shape", SHAPES[:2])
@pytest.mark.parametrize(("name", "budget"), [("qwen3", 10_000), ("qwen3_moe", 10_000), ("qwen3_moe", 100)])
def test_log_probabilities_and_gradients_are_those_of_every_token(group, tmp_path, name, shape, budget):
    plain_policy(name, tmp_path)
    sequences = samples_of(*shape)
    budget = max(budget, max(map(len, sequences)))
    whole, shared = (make_engine(tmp_path, TRAINING, [f"cluster.share_prefixes={on}"]) for on in ("false", "true"))
    expected, found = (log_probs_of(engine, batch_from(sequences, budget)) for engine in (whole, shared))
    for key in ("log_probs", "entropy"):
        one, other = (torch.cat(list(values[key].unbind())) for values in (expected, found))
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    expected, norm = gradients_of(whole, batch_from(sequences, budget))
    found, _ = gradients_of(shared, batch_from(sequences, budget))
    assert norm > 1e-3
    for parameter, gradient in expected.items():
        assert (found[parameter] - gradient).norm() <= 2e-5 * norm, parameter


def test_layers_see_prefixes_alone(group, tmp_path):
    """The rows that the model's feed-forward sees, counted."""
    plain_policy("qwen3", tmp_path)
    engine = make_engine(tmp_path, TRAINING, ["cluster.share_prefixes=true"])
    seen = []
    layer = engine.module.model.layers[0].mlp
    layer.register_forward_hook(lambda module, given, output: seen.append(given[0].shape[1]))
    sequences = samples_of(5, 8, 60, 30, 3)
    log_probs_of(engine, batch_from(sequences, 10_000))
    ids, positions = row_of(sequences)
    assert seen == [len(distinct_prefixes(ids, positions).kept)]
    assert seen[0] < ids.shape[1] / 2


def test_another_attention_is_refused(group, tmp_path):
    plain_policy("qwen3", tmp_path)
    with pytest.raises(ValueError, match="share_prefixes needs"):
        make_engine(tmp_path, TRAINING, ["cluster.share_prefixes=true", "cluster.attention=sdpa"])
