"""The policy's passes on a GPU: packed attention, the head's log-probabilities, and the whole engine."""

import os
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import torch

from judgerlvr.engine.devices import TRAINING
from judgerlvr.engine.policy_passes import head_log_probs as head
from judgerlvr.engine.policy_passes.packed_attention import bucketed, packed_attention, packed_row, takes_varlen
from tests.helpers.ports import free_port

pytestmark = pytest.mark.gpu
LENGTHS = [700, 1, 33, 2048, 90]


def attention_inputs(dtype=torch.bfloat16):
    draw = torch.Generator("cuda").manual_seed(0)
    made = [
        torch.randn(1, heads, sum(LENGTHS), 128, generator=draw, device="cuda", dtype=dtype).requires_grad_()
        for heads in (8, 2, 2)
    ]
    return made, torch.cat([torch.arange(length, device="cuda") for length in LENGTHS])[None]


def attended(function, tensors):
    """Values and gradients in float32."""
    out = function(*tensors)
    weights = torch.linspace(-1, 1, out.numel(), device="cuda").view_as(out)
    return [part.float() for part in (out.detach(), *torch.autograd.grad((out.float() * weights).sum(), tensors))]


def test_torchs_varlen_attention_is_the_one_by_batches_of_similar_lengths():
    tensors, positions = attention_inputs()
    assert takes_varlen(tensors[0])
    row = packed_row(positions)
    one = attended(lambda *qkv: packed_attention(torch.nn.Identity(), *qkv, None, position_ids=positions)[0], tensors)
    other = attended(lambda *qkv: bucketed(*qkv, row, None), tensors)
    wide = [part.detach().float().requires_grad_() for part in tensors]
    exact = attended(lambda *qkv: bucketed(*qkv, row, None), wide)
    for mine, theirs, true in zip(one, other, exact, strict=True):
        assert (mine - true).norm() <= 1.2 * (theirs - true).norm() + 1e-6


def test_padded_attention_runs_on_cudnn_beside_vllm():
    import vllm.platforms.cuda  # noqa: F401  (turns cuDNN's attention off)

    q, k, v = (torch.randn(1, heads, 16_384, 128, device="cuda", dtype=torch.bfloat16) for heads in (8, 2, 2))
    row = packed_row(torch.arange(16_384, device="cuda")[None])
    with torch.profiler.profile() as profile:
        bucketed(q, k, v, row, None)
    assert "aten::_scaled_dot_product_cudnn_attention" in {event.name for event in profile.events()}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("tokens", "vocabulary"), [(1000, 5003), (6000, 151_936)])
def test_the_heads_numbers_are_no_further_from_float32_than_those_of_whole_logits(compiled, tokens, vocabulary):
    draw = torch.Generator("cuda").manual_seed(0)
    hidden = torch.randn(tokens, 512, generator=draw, device="cuda", dtype=torch.bfloat16).requires_grad_()
    weight = (torch.randn(vocabulary, 512, generator=draw, device="cuda", dtype=torch.bfloat16) * 0.2).requires_grad_()
    labels = torch.randint(0, vocabulary, (tokens,), generator=draw, device="cuda")

    def passes(values, parts):
        log_probs, entropy = values
        weights = torch.linspace(-1, 1, tokens, device="cuda")
        loss = (log_probs * weights + entropy * weights.flip(0)).sum()
        return [part.detach().double() for part in (log_probs, entropy, *torch.autograd.grad(loss, parts))]

    def whole(hidden, weight):
        log_p = (hidden @ weight.T).float().log_softmax(-1)
        return log_p.gather(1, labels[:, None])[:, 0], -(log_p.exp() * log_p).sum(-1)

    ours = passes(head.head_log_probs(hidden, weight, labels, None, True, compiled), (hidden, weight))
    theirs = passes(whole(hidden, weight), (hidden, weight))
    wide = [part.detach().float().requires_grad_() for part in (hidden, weight)]
    exact = passes(whole(*wide), wide)
    for mine, other, true in zip(ours, theirs, exact, strict=True):
        assert (mine - true).norm() <= 1.1 * (other - true).norm() + 1e-6


def test_memory_does_not_grow_with_tokens_times_vocabulary():
    peaks = []
    weight = torch.randn(151_936, 64, device="cuda", dtype=torch.bfloat16)
    for tokens in (8192, 65_536):
        hidden = torch.randn(tokens, 64, device="cuda", dtype=torch.bfloat16)
        labels = torch.randint(0, 151_936, (tokens,), device="cuda")
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        with torch.no_grad():
            head.head_log_probs(hidden, weight, labels, None, True)
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] <= 1.05 * peaks[0]


@contextmanager
def gpu_process():
    environment = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    with patch.dict(os.environ, environment | {"MASTER_PORT": str(free_port())}):
        torch.cuda.set_device(0)
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl")
        try:
            yield
        finally:
            torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", ["qwen3-tied", "qwen3_moe"])
def test_the_engine_agrees_with_whole_logits(name, tmp_path, monkeypatch):
    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    from tests.helpers.training_engines import (
        batch_of,
        gradients_of,
        log_probs_of,
        make_engine,
        plain_policy,
        whole_logits,
    )

    lengths = [300, 41, 120]
    with gpu_process():
        plain_policy(name, tmp_path)
        engine = make_engine(tmp_path, TRAINING, device="gpu")
        batch = {"budget": 512, "calculate_entropy": True}
        ours = log_probs_of(engine, batch_of(lengths, **batch)), gradients_of(engine, batch_of(lengths, **batch))
        with whole_logits(engine):
            theirs = log_probs_of(engine, batch_of(lengths, **batch)), gradients_of(engine, batch_of(lengths, **batch))
    one, other = (torch.cat([row.float() for row in found[0]["log_probs"].unbind()]) for found in (ours, theirs))
    assert (one - other).abs().mean() < 0.01
    assert ours[1][1] == pytest.approx(theirs[1][1], rel=0.02)
