"""Norms and rotations that are fused compute what transformers computes."""

import sys

import pytest
import torch
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm
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
