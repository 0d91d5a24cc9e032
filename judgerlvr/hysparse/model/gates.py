"""Sigmoid output gates (equation 8), computed from the layer's normalised input."""

from __future__ import annotations

from torch import Tensor, nn

from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.layout import LayerRow


def gate_projection(config: HySparseConfig, row: LayerRow) -> nn.Linear:
    """Linear map to one logit an element of the heads' output, or one a head."""
    width = row.heads * (row.value_dim if config.gates == "element" else 1)
    return nn.Linear(config.hidden_size, width, bias=config.gate_bias)


def apply_gate(out: Tensor, logits: Tensor) -> Tensor:
    """``out`` [batch, heads, tokens, dim] times the sigmoid of ``logits`` [batch, tokens, heads * (dim or 1)]."""
    gate = logits.unflatten(-1, (out.shape[1], -1)).transpose(1, 2)
    gated: Tensor = out * gate.sigmoid()
    return gated
