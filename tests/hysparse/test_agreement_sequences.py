"""The trainer's side of a comparison, against loops over the tokens of hand-made rollouts."""

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from judgerlvr.hysparse.agreement.comparison import EngineRollout, compare, figures, mismatch
from judgerlvr.hysparse.agreement.trainer_choices import trainer_choices
from tests.helpers.hysparse_models import NAMES, logits_of, make_model, random_ids

PROMPTS, TOKENS = (20, 31), (50, 61)
CLOSE = {"rtol": 0, "atol": 1e-6}


@cache
def model_of(name):
    return make_model(name)


@cache
def rollouts(name):
    """Two sequences of unequal length. The choices are another model's, and the log-probabilities are drawn."""
    other, draw, found = make_model(name), torch.Generator().manual_seed(5), []
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.03 * parameter.std() * torch.randn(parameter.shape, generator=draw))
    for seed, (prompt, tokens) in enumerate(zip(PROMPTS, TOKENS, strict=True)):
        ids = random_ids(1, tokens, seed=seed)[0].tolist()
        log_probs = -4 - torch.rand(tokens - prompt, generator=draw)
        found.append(EngineRollout(ids, log_probs, trainer_choices(other, ids)[0]))
    return found


def rows_of(rollout):
    """The rows that the response's tokens were sampled from."""
    tokens = len(rollout.ids)
    return range(tokens - len(rollout.log_probs) - 1, tokens - 1)


def naive_log_probs(model, rollout, **choices):
    logits = logits_of(model, torch.tensor([rollout.ids]), **choices)[0].double()
    return [math.log(logits[row].softmax(0)[rollout.ids[row + 1]]) for row in rows_of(rollout)]


def naive_own(name, rollout):
    return naive_log_probs(model_of(name), rollout)


def naive_replayed(name, rollout):
    blocks, experts = rollout.choices.blocks.transpose(1, 2)[:, None], rollout.choices.experts
    given = {} if experts is None else {"expert_indices": experts[:, None]}
    return naive_log_probs(model_of(name), rollout, block_indices=blocks, **given)


def naive_differing(name, rollout):
    """Whether the sets of blocks differ in any layer or KV head, row by row."""
    own = trainer_choices(model_of(name), rollout.ids)[0].blocks
    layers, _, heads, _ = own.shape
    places = [(layer, head) for layer in range(layers) for head in range(heads)]
    given = rollout.choices.blocks
    return [
        any(set(own[layer, row, head].tolist()) != set(given[layer, row, head].tolist()) for layer, head in places)
        for row in rows_of(rollout)
    ]


def naive_experts(rollout):
    own, given = trainer_choices(model_of("tiny-moe"), rollout.ids)[0].experts, rollout.choices.experts
    return [
        [set(own[layer, row].tolist()) == set(given[layer, row].tolist()) for row in rows_of(rollout)]
        for layer in range(len(own))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_own_log_probabilities_are_those_of_the_response(name):
    for rollout in rollouts(name):
        expected = torch.tensor(naive_own(name, rollout)).float()
        torch.testing.assert_close(compare(model_of(name), rollout).own, expected, **CLOSE)


@pytest.mark.parametrize("name", NAMES)
def test_replayed_log_probabilities_follow_from_the_rollouts_choices(name):
    for rollout in rollouts(name):
        expected, own = torch.tensor(naive_replayed(name, rollout)).float(), torch.tensor(naive_own(name, rollout))
        assert (expected - own).abs().max() > 1e-3
        torch.testing.assert_close(compare(model_of(name), rollout).replayed, expected, **CLOSE)


@pytest.mark.parametrize("name", NAMES)
def test_differing_rows_are_those_that_tokens_were_sampled_from(name):
    for rollout in rollouts(name):
        expected = naive_differing(name, rollout)
        assert any(one != other for one, other in pairwise(expected))
        assert compare(model_of(name), rollout).differing.tolist() == expected


def test_equal_experts_are_those_of_the_rows_that_tokens_were_sampled_from():
    for rollout in rollouts("tiny-moe"):
        expected = naive_experts(rollout)
        assert all(0 < sum(layer) < len(layer) for layer in expected[1:])
        assert compare(model_of("tiny-moe"), rollout).experts.tolist() == expected


def naive_kl(rollout, trainer):
    """r - 1 - log r, token by token."""
    ratios = [math.exp(theirs - ours) for ours, theirs in zip(rollout, trainer, strict=True)]
    return sum(ratio - 1 - math.log(ratio) for ratio in ratios) / len(ratios)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("how", "trainer"), [("", naive_own), (" with replay", naive_replayed)])
def test_gap_and_kl_are_means_over_all_tokens(name, how, trainer):
    found = figures([compare(model_of(name), rollout) for rollout in rollouts(name)])
    ours = [value for rollout in rollouts(name) for value in rollout.log_probs.tolist()]
    theirs = [value for rollout in rollouts(name) for value in trainer(name, rollout)]
    gaps = [abs(one - other) for one, other in zip(ours, theirs, strict=True)]
    assert found[f"gap{how}"] == pytest.approx(sum(gaps) / len(gaps), rel=1e-5)
    assert found[f"KL{how}"] == pytest.approx(naive_kl(ours, theirs), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_share_of_differing_rows_is_over_all_responses(name):
    found = figures([compare(model_of(name), rollout) for rollout in rollouts(name)])
    rows = [row for rollout in rollouts(name) for row in naive_differing(name, rollout)]
    assert found["response rows with a differing choice"] == pytest.approx(sum(rows) / len(rows))


def test_share_of_equal_experts_is_over_layers_and_responses():
    found = figures([compare(model_of("tiny-moe"), rollout) for rollout in rollouts("tiny-moe")])
    rows = [row for rollout in rollouts("tiny-moe") for layer in naive_experts(rollout) for row in layer]
    assert found["equal experts of response rows"] == pytest.approx(sum(rows) / len(rows))


def test_a_dense_model_has_its_own_log_probabilities_alone():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    heads = {"num_key_value_heads": 1, "head_dim": 16, "initializer_range": 0.2}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=512, **sizes, **heads)).eval()
    rollout = EngineRollout(random_ids(1, 12)[0].tolist(), torch.full((5,), -6.0), None)
    found = compare(model, rollout)
    expected = torch.tensor(naive_log_probs(model, rollout)).float()
    torch.testing.assert_close(found.own, expected, **CLOSE)
    assert (found.replayed, found.choices, found.differing, found.experts) == (None,) * 4


@pytest.mark.parametrize(("rollout", "trainer"), [(-1.0, -3.0), (-3.0, -1.0)])
def test_kl_is_of_the_trainer_from_the_rollout(rollout, trainer):
    """The two directions of KL differ, and so do their estimates."""
    found = mismatch(torch.tensor([rollout]), torch.tensor([trainer]), "")
    assert found["KL"] == pytest.approx(math.exp(trainer - rollout) - 1 - (trainer - rollout))


def test_kl_of_rounding_is_half_its_square():
    """Of tokens that are nearly certain. r - 1 - log r itself cancels, even in float64."""
    rollout = -torch.rand(4096, generator=torch.Generator().manual_seed(0)) / 1000
    trainer = torch.nextafter(rollout, torch.tensor(0.0))
    squares = ((trainer.double() - rollout.double()) ** 2 / 2).mean().item()
    assert mismatch(rollout, trainer, "")["KL"] == pytest.approx(squares, rel=1e-6, abs=0)
    assert all(mismatch(one, other, "")["KL"] >= 0 for one, other in zip(rollout, trainer, strict=True))
