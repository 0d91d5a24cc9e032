"""Norms and rotations that are fused compute what transformers computes."""

import sys
from types import ModuleType

import pytest
import torch
from transformers.models.gpt_oss import modeling_gpt_oss
from transformers.models.qwen3 import modeling_qwen3
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm
from transformers.models.qwen3_moe import modeling_qwen3_moe
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeRMSNorm

from judgerlvr.engine.policy_passes import fused_parts
from tests.helpers.training_engines import plain_policy


class ShiftedRMSNorm(Qwen3RMSNorm):
    """Weights around 0, as some architectures have."""

    def forward(self, hidden):
        return super().forward(hidden) + hidden


class OtherRMSNorm(torch.nn.Module):
    """Made from other arguments."""

    def __init__(self, config):
        super().__init__()
        self.variance_epsilon = config


@pytest.mark.parametrize("kind", [Qwen3RMSNorm, Qwen3MoeRMSNorm])
def test_norms_of_the_policies_are_plain(kind):
    assert fused_parts.is_plain_norm(kind(8))


@pytest.mark.parametrize("part", [ShiftedRMSNorm(8), OtherRMSNorm(1e-6), torch.nn.RMSNorm(8), torch.nn.Linear(8, 8)])
def test_other_modules_are_left_alone(part):
    assert not fused_parts.is_plain_norm(part)


def test_rotations_of_the_policies_are_plain():
    assert all(
        fused_parts.is_plain_rotation(code.apply_rotary_pos_emb) for code in (modeling_qwen3, modeling_qwen3_moe)
    )


def rotated_by_neighbours(query, key, cos, sin):
    return query * cos[:, None] - query.roll(1, -1) * sin[:, None], key


@pytest.mark.parametrize("rotate", [rotated_by_neighbours, modeling_gpt_oss.apply_rotary_pos_emb, lambda query: query])
def test_other_rotations_are_left_alone(rotate):
    code = ModuleType("code")
    code.apply_rotary_pos_emb = rotate
    assert not fused_parts.fuse_rotation(code)
    assert code.apply_rotary_pos_emb is rotate


def gradients(function, tensors):
    """Of a sum in which each output counts differently."""
    found = function(*tensors)
    outputs = found if isinstance(found, tuple) else (found,)
    total = sum((part * torch.linspace(-1, 1, part.numel()).view_as(part)).sum() for part in outputs)
    return torch.autograd.grad(total, [part for part in tensors if part.requires_grad])


@pytest.mark.parametrize("shape", [(1, 7, 16), (1, 3, 7, 16)])
def test_a_norms_gradients_are_those_of_its_plain_form(shape, monkeypatch):
    monkeypatch.setattr(fused_parts, "_compiled", lambda function: function)
    torch.manual_seed(0)
    norm, hidden = Qwen3RMSNorm(16, eps=0.1), torch.randn(shape, requires_grad=True)
    norm.weight.data.normal_()
    expected = gradients(lambda hidden, _: norm(hidden), (hidden, norm.weight))
    found = gradients(lambda hidden, _: fused_parts._fused_norm(norm, hidden), (hidden, norm.weight))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_a_rotations_gradients_are_those_of_its_plain_form(monkeypatch):
    monkeypatch.setattr(fused_parts, "_compiled", lambda function: function)
    torch.manual_seed(0)
    query, key = (torch.randn(1, heads, 7, 16, requires_grad=True) for heads in (3, 2))
    tensors = (query, key, torch.randn(1, 7, 16), torch.randn(1, 7, 16))
    expected = gradients(modeling_qwen3.apply_rotary_pos_emb, tensors)
    for mine, theirs in zip(gradients(fused_parts._fused_rotation, tensors), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


def test_a_layer_may_be_computed_again_by_other_code(monkeypatch, tmp_path):
    """torch stops to compile a function that had too many variants, so a layer may be compiled the first time alone."""
    compiled = torch.compile(fused_parts.plain_norm, backend="aot_eager", dynamic=True)
    used = [compiled]

    def compile_or_not(function):
        return used[-1] if function is fused_parts.plain_norm else function

    monkeypatch.setattr(fused_parts, "_compiled", compile_or_not)
    model = plain_policy("qwen3", tmp_path)
    code = sys.modules[type(model).__module__]
    monkeypatch.setattr(code, fused_parts.ROTATION, getattr(code, fused_parts.ROTATION))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    fused_parts.fuse(model)
    total = model(torch.arange(40)[None]).logits.logsumexp(-1).sum()
    used.append(fused_parts.plain_norm)
    total.backward()
    assert all(part.grad is not None for part in model.parameters())


@pytest.mark.parametrize("name", ["qwen3", "qwen3_moe"])
def test_a_fused_model_computes_the_same_bits(name, tmp_path, monkeypatch):
    """Without the compiler, which changes kernels and not operations."""
    monkeypatch.setattr(fused_parts, "_compiled", lambda function: function)
    model = plain_policy(name, tmp_path).bfloat16()
    code = sys.modules[type(model).__module__]
    monkeypatch.setattr(code, fused_parts.ROTATION, getattr(code, fused_parts.ROTATION))
    ids = torch.arange(40)[None]
    expected = model(ids).logits
    # Two in each of two layers, two on queries and keys of each, and the last.
    assert fused_parts.fuse(model) == 9
    assert torch.equal(model(ids).logits, expected)
