"""Bytes that a token needs inside a decoder layer, in bfloat16, by the tensors that transformers' layers make.

Plain norms and rotations are compared with torch's memory tracker by ``tests/planning/test_activations.py``.
Fused operations (``cluster.compile``) are counted: no float32 copy of a norm's input or of a rotated head is kept.
"""

from __future__ import annotations

from judgerlvr.config.choices import Recompute
from judgerlvr.hysparse.ops.kernel_shapes import sparse_scratch
from judgerlvr.planning.constants import HYSPARSE_ATTENTION
from judgerlvr.planning.shapes import HYSPARSE, ModelShape


def forward_bytes(shape: ModelShape) -> float:
    """Peak of a layer without gradients, for a token: the residual stream, then the wider feed-forward kind."""
    return 2 * shape.hidden + max(_dense_forward(shape), _mixture_forward(shape))


def update_bytes(shape: ModelShape, fused: bool) -> float:
    """Peak of a layer's backward pass under activation checkpointing, for a token, the layer's input left out.

    The layer runs again with all tensors kept, and backward adds gradients of the widest tensors.
    """
    gradients = 4 * shape.hidden
    return gradients + _projections(shape, fused) + max(_dense_update(shape), _mixture_update(shape))


def saved_bytes(shape: ModelShape, fused: bool) -> float:
    """Tensors that a layer saves for the backward pass, for a token: ``update_bytes`` without gradients."""
    dense = 0 if shape.mixture_layers == len(shape.layers) else 8 * shape.width
    mixture = shape.top_k * (4 * shape.hidden + 8 * shape.expert_width) if shape.mixture_layers else 0
    return _projections(shape, fused) + max(dense, mixture)


def kept_bytes(shape: ModelShape, recompute: Recompute, fused: bool) -> float:
    """Bytes of a token that stay between the passes, by what the backward pass computes again.

    Recomputing all keeps each layer's input, and the keys that HySparse's layers share.
    """
    layers = len(shape.layers)
    if recompute is Recompute.none:
        return layers * saved_bytes(shape, fused)
    inputs = 2 * shape.hidden * layers
    if recompute is Recompute.attention:
        # The output in bfloat16, and a float32 number for each head.
        inputs += layers * shape.heads * (2 * shape.head_dim + 4)
    if shape.model_type != HYSPARSE:
        return inputs
    float32_keys = 2 * 4 * shape.kv_heads * shape.head_dim
    return inputs + float32_keys * sum(layer.full for layer in shape.layers)


def scratch_bytes(shape: ModelShape, tokens: int, grad: bool) -> int:
    """Bytes that the kernels of HySparse's sparse layers hold over a micro-batch of ``tokens``, which is one row."""
    if shape.model_type != HYSPARSE or not shape.blocks:
        return 0
    block, group = shape.selected // shape.blocks, shape.heads // shape.kv_heads
    return sparse_scratch(tokens, shape.blocks, block, group, shape.kv_heads, shape.head_dim, grad)


def _projections(shape: ModelShape, fused: bool) -> int:
    """Bytes that a layer saves outside its feed-forward block: two norms, and queries, keys and values."""
    hidden, element = (8, 6) if fused else (16, 10)
    elements = (shape.heads + shape.kv_heads) * shape.head_dim
    gates = int(HYSPARSE_ATTENTION.value) * shape.heads * shape.head_dim if shape.model_type == HYSPARSE else 0
    return hidden * shape.hidden + element * elements + gates


def _dense_forward(shape: ModelShape) -> int:
    return 0 if shape.mixture_layers == len(shape.layers) else 4 * shape.hidden + 6 * shape.width


def _mixture_forward(shape: ModelShape) -> int:
    """Four copies of each of the token's rows: gathered, multiplied, weighted and put back in order."""
    return 4 * shape.hidden + 8 * shape.top_k * shape.hidden if shape.mixture_layers else 0


def _dense_update(shape: ModelShape) -> int:
    return 0 if shape.mixture_layers == len(shape.layers) else 12 * shape.width


def _mixture_update(shape: ModelShape) -> int:
    return shape.top_k * (10 * shape.hidden + 8 * shape.expert_width) if shape.mixture_layers else 0
