"""A mixture of experts that uses given experts: weights from its own router, in the model as in a loop."""

import pytest
import torch

from judgerlvr.hysparse.model.experts import ChosenExperts
from tests.helpers.hysparse_models import make_model, random_ids

LENGTH = 60
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def other_experts(model, rows):
    """[MoE layers, rows, tokens, top_k] that no router chose."""
    config, draw = model.config, torch.Generator().manual_seed(3)
    scores = torch.rand(len(config.expert_layers), rows, LENGTH, config.num_experts, generator=draw)
    return scores.topk(config.num_experts_per_tok, dim=-1).indices


@pytest.mark.parametrize("norm_topk_prob", [True, False])
def test_a_block_equals_a_loop_over_tokens(norm_topk_prob):
    model = make_model("tiny-moe", norm_topk_prob=norm_topk_prob)
    block, used = model.model.layers[0].mlp, other_experts(model, 2)[0]
    hidden = torch.randn(2, LENGTH, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with torch.no_grad():
        alone = [run_expert(block, expert, hidden) for expert in range(4)]
    probabilities = (hidden.detach() @ block.gate.weight.T).softmax(-1)
    expected = torch.zeros_like(hidden)
    for row in range(2):
        for token in range(LENGTH):
            given = {int(expert): probabilities[row, token, expert] for expert in used[row, token]}
            total = sum(given.values()) if norm_topk_prob else 1
            expected[row, token] = sum(weight / total * alone[n][row, token] for n, weight in given.items())
    torch.testing.assert_close(block(hidden, ChosenExperts(used)), expected, **CLOSE)


def run_expert(block, expert, hidden):
    gate, up = (hidden @ block.experts.gate_up_proj[expert].T).chunk(2, dim=-1)
    return (torch.nn.functional.silu(gate) * up) @ block.experts.down_proj[expert].T


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("norm_topk_prob", [True, False])
def test_own_experts_change_no_bit_and_no_gradient(dtype, norm_topk_prob):
    model, ids = make_model("tiny-moe", norm_topk_prob=norm_topk_prob).to(dtype), random_ids(2, LENGTH)
    own = model(ids, use_cache=False, output_blocks=True)
    assert own.chosen_experts.shape == (7, 2, LENGTH, 2) and own.chosen_experts.unique().numel() == 4
    replayed = model(ids, use_cache=False, expert_indices=own.chosen_experts)
    assert torch.equal(replayed.logits, own.logits)
    torch.testing.assert_close(gradients(model, ids, own.chosen_experts), gradients(model, ids), **CLOSE)


def gradients(model, ids, experts=None):
    model.zero_grad()
    model(ids, labels=ids, use_cache=False, expert_indices=experts).loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_other_experts_give_another_result_from_their_token_on_and_routers_still_learn():
    model, ids = make_model("tiny-moe"), random_ids(1, LENGTH)
    own = model(ids, use_cache=False, output_blocks=True)
    given = own.chosen_experts.clone()
    given[:, :, 20:] = other_experts(model, 1)[:, :, 20:]
    replayed = model(ids, use_cache=False, expert_indices=given, output_blocks=True)
    assert torch.equal(replayed.logits[:, :20], own.logits[:, :20])
    assert (replayed.logits[:, 20:] - own.logits[:, 20:]).abs().max() > 1e-3
    # The first layer's router sees the same hidden states whatever is replayed.
    assert torch.equal(replayed.chosen_experts[0], own.chosen_experts[0])
    found = gradients(model, ids, given)
    assert all(found[f"model.layers.{layer}.mlp.gate.weight"].abs().max() > 0 for layer in range(7))


def test_checkpointing_replays_the_same_experts():
    model, ids = make_model("tiny-moe").train(), random_ids(2, LENGTH)
    given = other_experts(model, 2)
    plain = gradients(model, ids, given)
    model.gradient_checkpointing_enable()
    torch.testing.assert_close(gradients(model, ids, given), plain, **CLOSE)


def test_experts_that_miss_a_token_are_refused():
    model, ids = make_model("tiny-moe"), random_ids(2, LENGTH)
    with pytest.raises(ValueError, match=r"expert_indices must have .* an index row for each token"):
        model(ids, expert_indices=other_experts(model, 2)[:, :, 1:])


def test_a_dense_model_tells_no_experts():
    assert make_model()(random_ids(1, LENGTH), output_blocks=True).chosen_experts is None
