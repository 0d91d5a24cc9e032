"""Bytes of one decoder layer, counted by hand, against torch's own memory tracker on transformers' layers."""

import pytest
import torch
from torch.distributed._tools.mem_tracker import MemTracker
from transformers import Qwen3Config, Qwen3MoeConfig
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer, Qwen3RotaryEmbedding
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeDecoderLayer, Qwen3MoeRotaryEmbedding

from judgerlvr.planning.activations import forward_bytes, saved_bytes, update_bytes
from judgerlvr.planning.shapes import shape_of
from tests.helpers.counted_kernels import saved

# Sizes at which a layer's weights are small beside the activations of TOKENS.
TOKENS = 2048
DENSE = {"hidden_size": 256, "intermediate_size": 768, "num_attention_heads": 4, "num_key_value_heads": 2}
MIXTURE = DENSE | {"moe_intermediate_size": 192, "num_experts": 4, "num_experts_per_tok": 2}
CASES = {
    "dense": ("qwen3", DENSE),
    "dense, twice": ("qwen3", {name: 2 * size for name, size in DENSE.items()}),
    "mixture": ("qwen3_moe", MIXTURE),
    "mixture, wider": ("qwen3_moe", MIXTURE | {"hidden_size": 512, "num_experts_per_tok": 4}),
}


def make_layer(kind, sizes, grad):
    dense = kind == "qwen3"
    config = (Qwen3Config if dense else Qwen3MoeConfig)(**sizes, head_dim=64, num_hidden_layers=1, vocab_size=16)
    config._attn_implementation, config._experts_implementation = "sdpa", "grouped_mm"
    layer = (Qwen3DecoderLayer if dense else Qwen3MoeDecoderLayer)(config, 0).to(torch.bfloat16)
    hidden = torch.randn(1, TOKENS, config.hidden_size, dtype=torch.bfloat16, requires_grad=grad)
    rotary = (Qwen3RotaryEmbedding if dense else Qwen3MoeRotaryEmbedding)(config)(hidden, torch.arange(TOKENS)[None])
    return layer, hidden, rotary


def tracked(kind, sizes, grad):
    """Bytes a token of the layer's tensors at the peak, weights, their gradients and what is passed in left out."""
    layer, hidden, rotary = make_layer(kind, sizes, grad)
    gradient = torch.randn_like(hidden)
    tracker = MemTracker()
    tracker.track_external(layer, hidden, *rotary, gradient)
    with tracker, torch.set_grad_enabled(grad):
        out = layer(hidden, position_embeddings=rotary, attention_mask=None)
        if grad:
            out.backward(gradient)
    (peak,) = tracker.get_tracker_snapshot("peak").values()
    return sum(size for name, size in peak.items() if str(name).split(".")[-1] in ("ACT", "TEMP")) / TOKENS


def shape_and_sizes(name):
    kind, sizes = CASES[name]
    fields = {
        "model_type": kind,
        "head_dim": 64,
        "num_hidden_layers": 1,
        "vocab_size": 16,
        "max_position_embeddings": 1,
    }
    return shape_of({"moe_intermediate_size": 0, **fields, **sizes}), kind, sizes


def saved_by_a_token(kind, sizes):
    """Bytes a token of the tensors that a layer's forward pass saves, weights left out."""
    layer, hidden, rotary = make_layer(kind, sizes, grad=True)
    return saved(layer, lambda: layer(hidden, position_embeddings=rotary, attention_mask=None)) / TOKENS


@pytest.mark.parametrize("name", CASES)
def test_what_a_layer_saves(name):
    shape, kind, sizes = shape_and_sizes(name)
    assert saved_by_a_token(kind, sizes) == pytest.approx(saved_bytes(shape, fused=False), rel=0.04)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("grad", [False, True])
def test_formulas_agree_with_the_tracker(name, grad):
    shape, kind, sizes = shape_and_sizes(name)
    formula = update_bytes(shape, fused=False) if grad else forward_bytes(shape)
    expected = formula - 2 * shape.hidden
    assert tracked(kind, sizes, grad) == pytest.approx(expected, rel=0.04)
