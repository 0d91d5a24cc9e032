"""Lab against product: the same weights and batch in transformers' Qwen3 and verl's loss give the same numbers."""

import numpy as np
import pytest
import torch

from benchmarks.lab.model import Shape, initial_weights, next_token_logits, rotary_table, trainable
from benchmarks.lab.objective import Clip, group_advantages, policy_loss, token_logprobs
from benchmarks.lab_pair.qwen3 import qwen3, state

PROMPT, RESPONSE, GROUPS, GROUP = 7, 9, 3, 4


@pytest.fixture(params=["small", "the lab's own"])
def shape(request):
    if request.param == "small":
        return Shape(64, width=32, layers=2, heads=4, key_heads=2, head_width=8, hidden=48)
    return Shape(64)


@pytest.fixture
def weights(shape):
    """Two models whose logits are far from uniform and whose norms are not 1."""
    made = initial_weights(shape, [1, 2], torch.device("cpu"))
    draw, scale = torch.Generator().manual_seed(3), 8 if shape.width < 256 else 2
    return {
        name: 1 + 0.3 * torch.randn(value.shape, generator=draw) if name.startswith("norm") else scale * value
        for name, value in made.items()
    }


def of_run(weights, run):
    return {name: value[run] for name, value in weights.items()}


def batch(shape, seed):
    draw = torch.Generator().manual_seed(seed)
    rows = GROUPS * GROUP
    ids = torch.randint(shape.vocabulary, (2, rows, PROMPT + RESPONSE), generator=draw)
    lengths = torch.randint(2, RESPONSE + 1, (2, rows), generator=draw)
    mask = torch.arange(RESPONSE) < lengths[..., None]
    mask &= torch.rand(mask.shape, generator=draw) > 0.1  # tokens written by the world
    rewards = (torch.rand(2, rows, generator=draw) < 0.5).float()
    drift = 0.4 * torch.randn(2, rows, RESPONSE, generator=draw)
    return ids, mask, rewards, drift


def lab_logprobs(shape, weights, ids):
    table = rotary_table(PROMPT + RESPONSE, shape.head_width, ids.device, torch.float32)
    return token_logprobs(next_token_logits(shape, weights, ids[..., :-1], table, PROMPT), ids[..., PROMPT:])


def product_logprobs(model, ids):
    logits = model(ids).logits[:, PROMPT - 1 : -1].float()
    return torch.log_softmax(logits, -1).gather(2, ids[:, PROMPT:, None])[..., 0]


def verl_loss(old, new, rewards, mask):
    from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage, get_policy_loss_fn
    from verl.workers.config import ActorConfig

    scores = torch.zeros(mask.shape)
    scores[:, -1] = rewards
    index = np.repeat(np.arange(GROUPS), GROUP)
    advantages, _ = compute_grpo_outcome_advantage(scores, mask.float(), index)
    config = ActorConfig(
        strategy="fsdp",
        rollout_n=1,
        clip_ratio=0.2,
        clip_ratio_low=0.2,
        clip_ratio_high=0.28,
        ppo_micro_batch_size_per_gpu=1,
    )
    loss, _ = get_policy_loss_fn("vanilla")(old, new, advantages, mask.float(), "token-mean", config)
    return loss, advantages


@pytest.mark.parametrize("seed", range(5))
def test_log_probabilities_are_qwen3s(shape, weights, seed):
    ids, *_ = batch(shape, seed)
    with torch.no_grad():
        lab = lab_logprobs(shape, weights, ids)
        product = torch.stack([product_logprobs(qwen3(shape, of_run(weights, run)), ids[run]) for run in (0, 1)])
    assert (lab - product).abs().max() < 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_loss_and_gradient_are_verls(shape, weights, seed):
    ids, mask, rewards, drift = batch(shape, seed)
    leaves = trainable(weights)
    new = lab_logprobs(shape, leaves, ids)
    old = new.detach() + drift
    advantages, _ = group_advantages(rewards, GROUP)
    losses = policy_loss(new, old, advantages, mask, mask.sum((1, 2)), Clip())
    losses.sum().backward()
    for run in (0, 1):
        model = qwen3(shape, of_run(weights, run))
        loss, theirs = verl_loss(old[run], product_logprobs(model, ids[run]), rewards[run], mask[run])
        loss.backward()
        assert torch.allclose(theirs, advantages[run][:, None] * mask[run], atol=1e-5)
        assert losses[run].item() == pytest.approx(loss.item(), abs=1e-4)
        assert cosine(lab_gradient(shape, leaves, run), model) >= 0.999


def lab_gradient(shape, leaves, run):
    return state(shape, {name: value.grad[run] for name, value in leaves.items()})


def cosine(lab, model):
    names = [name for name, value in model.named_parameters() if value.grad is not None]
    ours = torch.cat([lab[name].flatten() for name in names])
    theirs = torch.cat([model.get_parameter(name).grad.flatten() for name in names])
    return torch.nn.functional.cosine_similarity(ours, theirs, 0).item()
