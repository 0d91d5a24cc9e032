"""Attention layers, with every option, against float64 loops over queries and keys."""

import pytest
import torch

from judgerlvr.hysparse.model.attention import FullAttention, SelectedBlocks, SparseAttention, Step
from judgerlvr.hysparse.model.presets import preset
from judgerlvr.hysparse.ops.segments import from_lengths
from tests.helpers.hysparse_loops import crowded_share, loop_full, loop_selection, loop_sparse, loop_window

SEGMENTS = from_lengths(torch.tensor([0, 20, 45]), 45)
OPTIONS = [
    {},
    {"gates": "head", "gate_bias": True, "gate_full": True},
    {"gates": "none", "sinks": False},
    {"qk_norm": True, "attention_bias": True, "sinks_full": True},
    {"forced_first_blocks": 1, "forced_local_blocks": 1},
    {"select_block": 1, "select_tokens": 6, "forced_local_blocks": 2},
    {"branches": "sparse"},
    {"branches": "window"},
    {"num_key_value_heads": 1},
    {"num_key_value_heads": 4},
]


def rope(heads, positions, base=10_000.0):
    """Rotation of each pair (i, i + dim / 2) by position * base^(-2 i / dim), as complex numbers."""
    half = heads.shape[-1] // 2
    angle = positions[0, :, None].double() * base ** (-torch.arange(half).double() / half)
    turned = torch.complex(heads[..., :half], heads[..., half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([turned.real, turned.imag], dim=-1)


def project(layer, hidden, which):
    """One projection as [batch, heads, tokens, dim], normalised where the layer has a norm, not rotated."""
    linear = getattr(layer, f"{which}_proj")
    heads = linear(hidden).unflatten(-1, (-1, layer.row.key_dim)).transpose(1, 2)
    norm = getattr(layer, f"{which}_norm", None)
    if norm is None or not hasattr(norm, "weight"):
        return heads
    return heads / (heads.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight


def gate(layer_gate, hidden, heads):
    """Multiplier of shape [batch, heads, tokens, dim or 1]."""
    if layer_gate is None:
        return 1.0
    return layer_gate(hidden).sigmoid().unflatten(-1, (heads, -1)).transpose(1, 2)


def flat(out):
    return out.transpose(1, 2).flatten(2)


def loop_layers(full, sparse, config, hidden):
    """Outputs of a full layer and of the sparse layer after it, both reading ``hidden``."""
    heads, where = config.num_attention_heads, SEGMENTS.positions
    q, k = rope(project(full, hidden, "q"), where), rope(project(full, hidden, "k"), where)
    v = project(full, hidden, "v")
    out, probabilities = loop_full(q, k, v, SEGMENTS, full.sinks)
    first = full.o_proj(flat(out * gate(full.gate, hidden, heads)))

    chosen = loop_selection(probabilities, q.shape[:3], k.shape[1], SEGMENTS, config.selection)
    q = rope(project(sparse, hidden, "q"), where)
    total = torch.zeros_like(q)
    if config.branches != "window":
        shared = loop_sparse(q, k, v, chosen, SEGMENTS, config.select_block, sparse.sinks_sparse)
        total += shared * gate(sparse.g_sparse, hidden, heads)
    if config.branches != "sparse":
        own_k, own_v = rope(project(sparse, hidden, "k"), where), project(sparse, hidden, "v")
        near = loop_window(q, own_k, own_v, SEGMENTS, config.sliding_window, sparse.sinks_swa)
        total += near * gate(sparse.g_swa, hidden, heads)
    return first, sparse.o_proj(flat(total))


@torch.no_grad()
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_layers_match_loops(options):
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "head_dim": 8, "select_block": 4, "select_tokens": 8, "sliding_window": 6}
    config = preset("tiny", **{**sizes, **options})
    assert crowded_share(SEGMENTS, config.selection) >= 0.5
    full, sparse = FullAttention(config, 0).double(), SparseAttention(config, 1).double()
    for parameter in (*full.parameters(), *sparse.parameters()):
        parameter.normal_(std=0.4)
    hidden = torch.randn(1, 45, 24, dtype=torch.float64)
    angle = SEGMENTS.positions[..., None] * 10_000.0 ** (-torch.arange(4).double() / 4).repeat(2)
    step = Step((angle.cos(), angle.sin()), SEGMENTS, cache=None)

    blocks = SelectedBlocks()
    first, blocks.keys, blocks.values = full(hidden, blocks, step)
    second = sparse(hidden, blocks, step)

    # transformers' RMSNorm computes in float32 whatever its input
    tolerance = 1e-5 if config.qk_norm else 1e-10
    expected = loop_layers(full, sparse, config, hidden)
    torch.testing.assert_close((first, second), expected, rtol=tolerance, atol=tolerance)
