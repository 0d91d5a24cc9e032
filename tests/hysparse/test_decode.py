"""Triton kernels of one new token a row against the reference. ``tests/hysparse/test_kernels.py`` says where to run."""

import pytest
import torch

# isort: off
from tests.hysparse.test_kernels import CLOSE, DEVICE, SELECTION, case, on_device  # skips where kernels cannot run

from judgerlvr.hysparse.ops import reference
from judgerlvr.hysparse.ops.selection import Selection
from judgerlvr.hysparse.ops.triton import decode as decoding
from judgerlvr.hysparse.ops.segments import from_mask, whole
# isort: on

SEGMENTS = {
    "whole": whole(2, 1, offset=139),
    "left padded": from_mask(torch.tensor([[0] * 37 + [1] * 103, [1] * 140]), 1),
    "fewer blocks than chosen": whole(1, 1, offset=20),
}


@pytest.mark.parametrize("splits", [1, 5])
@pytest.mark.parametrize("name", SEGMENTS)
def test_full_decode(name, splits, monkeypatch):
    segments = on_device(SEGMENTS[name])
    q, k, v, sinks, _ = case(segments)
    monkeypatch.setattr(decoding, "PROGRAMS", splits * k.shape[0] * k.shape[1])
    out, indices = decoding.full_decode(q, k, v, segments, SELECTION, sinks)
    expected, chosen = reference.full_attention_with_selection(q, k, v, segments, SELECTION, sinks)
    torch.testing.assert_close(out, expected, **CLOSE)
    assert torch.equal(indices, chosen)


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(2, 2, 64), (8, 1, 16), (16, 1, 128), (32, 1, 16)])
def test_full_decode_for_other_groups_and_head_dims(heads, kv_heads, dim):
    segments = on_device(SEGMENTS["whole"])
    q, k, v, _, _ = case(segments, heads, kv_heads, dim)
    out, indices = decoding.full_decode(q, k, v, segments, SELECTION)
    expected, chosen = reference.full_attention_with_selection(q, k, v, segments, SELECTION)
    torch.testing.assert_close(out, expected, **CLOSE)
    assert torch.equal(indices, chosen)


def test_decode_forces_blocks_as_the_reference():
    segments, selection = on_device(SEGMENTS["left padded"]), Selection(16, 3, first=1, local=1)
    q, k, v, _, _ = case(segments)
    chosen = reference.full_attention_with_selection(q, k, v, segments, selection)[1]
    assert torch.equal(decoding.full_decode(q, k, v, segments, selection)[1], chosen)


@pytest.mark.parametrize("gate_width", [0, 1, 16])
@pytest.mark.parametrize("near", [19, 140])
@pytest.mark.parametrize("name", ["whole", "left padded"])
def test_sparse_decode(name, near, gate_width):
    """``near`` keys in the window's cache, which is shorter or longer than the window of 20."""
    segments = on_device(SEGMENTS[name])
    q, k, v, sinks, _ = case(segments)
    near_k, near_v = (tensor.flip(-1)[:, :, -near:].contiguous() for tensor in (k, v))
    indices = reference.full_attention_with_selection(q, k, v, segments, SELECTION)[1]
    gates = torch.randn(2, len(q), q.shape[1], gate_width, device=DEVICE) if gate_width else None
    branches = decoding.Branches(near_k, near_v, 20, (sinks, 2 * sinks), gates if gates is None else tuple(gates))
    out = decoding.sparse_decode(q, k, v, indices, segments, SELECTION.block, branches)
    chosen = reference.sparse_attention(q, k, v, indices, segments, SELECTION.block, sinks)
    window = reference.window_attention(q, near_k, near_v, segments, 20, 2 * sinks)
    open_gates = torch.ones(2, 1, 1, 1, 1) if gates is None else gates[..., None, :].sigmoid()
    torch.testing.assert_close(out, chosen * open_gates[0].to(DEVICE) + window * open_gates[1].to(DEVICE), **CLOSE)
