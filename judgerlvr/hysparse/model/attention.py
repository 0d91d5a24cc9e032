"""The two kinds of attention layer: full layers that select, and sparse layers that share K, V and the selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeRMSNorm, rotate_half

from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.gates import apply_gate, gate_projection
from judgerlvr.hysparse.model.layout import LayerRow
from judgerlvr.hysparse.ops.dispatch import REFERENCE_OPERATIONS, Operations, operations
from judgerlvr.hysparse.ops.segments import Segments


@dataclass(frozen=True)
class Step:
    """Facts that layers of one forward share: (cos, sin) of RoPE, where sequences begin, and the cache if any.

    ``whole`` is the step of the forward's every token, if this step covers its last tokens only.
    """

    rotary: tuple[Tensor, Tensor]
    segments: Segments
    cache: Cache | None
    whole: Step | None = None

    def last(self, tokens: int) -> Step:
        """The step of the last ``tokens`` tokens, whose queries see the keys of all tokens."""
        starts, (cos, sin) = self.segments.starts, self.rotary
        segments = Segments(starts[:, -tokens:], self.segments.offset + max(0, starts.shape[1] - tokens))
        return Step((cos[:, -tokens:], sin[:, -tokens:]), segments, self.cache, self)


class SelectedBlocks:
    """What a full layer hands to the sparse layers of its hybrid block: indices, and the ``keys`` and ``values`` that
    they name.

    ``indices`` are written once a forward. Activation checkpointing runs the full layer again, and a second selection
    that differed by rounding would give the gradients of another function. Indices from outside, such as a rollout's,
    are used as given. ``compare`` asks for the model's own choice, ``chosen``, beside the given indices. ``shared`` is
    the form in which the operations read the indices. The first sparse layer makes that form for all.

    This is a plain class on purpose. FSDP2 casts tensors that travel as arguments or dataclass fields to half
    precision. Before torch 2.13 FSDP2 does not repeat the cast when activation checkpointing re-runs a layer, so saved
    and recomputed tensors would differ.
    """

    def __init__(self, indices: Tensor | None = None, compare: bool = False) -> None:
        self.indices, self.compare = indices, compare
        self.chosen: Tensor | None = None
        self.shared: Any = None
        self.keys: Tensor | None = None
        self.values: Tensor | None = None


class Projections(nn.Module):
    """Query, output and (unless shared from elsewhere) key and value projections, with RoPE and optional QK norm."""

    def __init__(self, config: HySparseConfig, layer: int) -> None:
        super().__init__()
        row = self.row = config.rows[layer]
        bias, own_keys = config.attention_bias, row.projects is not None
        self.q_proj = nn.Linear(config.hidden_size, row.heads * row.key_dim, bias=bias)
        self.o_proj = nn.Linear(row.heads * row.value_dim, config.hidden_size, bias=bias)
        if own_keys:
            self.k_proj = nn.Linear(config.hidden_size, row.kv_heads * row.key_dim, bias=bias)
            self.v_proj = nn.Linear(config.hidden_size, row.kv_heads * row.value_dim, bias=bias)
        norms = config.qk_norm
        self.q_norm = Qwen3MoeRMSNorm(row.key_dim, config.rms_norm_eps) if norms else nn.Identity()
        self.k_norm = Qwen3MoeRMSNorm(row.key_dim, config.rms_norm_eps) if norms and own_keys else nn.Identity()

    def query(self, hidden: Tensor, step: Step) -> Tensor:
        """Rotated queries, [batch, heads, tokens, key_dim]."""
        heads = self.q_proj(hidden).unflatten(-1, (self.row.heads, -1))
        return rotate(normed(self.q_norm, heads), step, self.row.rotary)

    def keys_values(self, hidden: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Rotated keys and values with the cached keys first. A window layer's cache holds only the newest keys."""
        k, v = (part(hidden).unflatten(-1, (self.row.kv_heads, -1)) for part in (self.k_proj, self.v_proj))
        k, v = rotate(normed(self.k_norm, k), step, self.row.rotary), v.transpose(1, 2)
        if step.cache is not None:
            k, v = step.cache.update(k, v, self.row.layer)
        return k, v

    def output(self, heads: Tensor) -> Tensor:
        """Output projection of [batch, heads, tokens, dim]."""
        projected: Tensor = self.o_proj(heads.transpose(1, 2).flatten(2))
        return projected


def normed(norm: nn.Module, heads: Tensor) -> Tensor:
    """[batch, tokens, heads, dim] to normalised [batch, heads, tokens, dim], in the projection's dtype.

    Under autocast, norm and RoPE compute in float32, but attention must get the dtype of the projection.
    """
    result: Tensor = norm(heads).to(heads.dtype).transpose(1, 2)
    return result


def rotate(heads: Tensor, step: Step, dims: int) -> Tensor:
    """RoPE of the first ``dims`` dims by each token's own position. Shared keys are shared after the rotation."""
    if dims == 0:
        return heads
    cos, sin = (part[:, None] for part in step.rotary)
    turning, still = heads[..., :dims], heads[..., dims:]
    turned = (turning * cos + rotate_half(turning) * sin).to(heads.dtype)
    return torch.cat([turned, still], dim=-1) if still.shape[-1] else turned


def summed_in_float32(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """K and V for the sparse layers. If one learns, both are float32, because all sparse layers add to one gradient."""
    if (k.requires_grad or v.requires_grad) and k.dtype.itemsize < torch.float32.itemsize:
        return k.float(), v.float()
    return k, v


def operations_for(q: Tensor, v: Tensor) -> Operations:
    """The implementation for queries and values. Raises ValueError where kernels would take values of another width."""
    found = operations(q.device.type)
    if q.shape[-1] != v.shape[-1] and found is not REFERENCE_OPERATIONS:
        raise ValueError(f"no Triton kernel for values of {v.shape[-1]} dims beside keys of {q.shape[-1]}")
    return found


def sink_biases(row: LayerRow) -> nn.Parameter:
    """One learnable softmax sink a query head, float32, starting at 0."""
    return nn.Parameter(torch.zeros(row.heads, dtype=torch.float32))


class FullAttention(Projections):
    """Equations 1-3. Returns its output, and the K and V that the sparse layers after it attend to.

    ``lent`` is the normalised input of another layer, of which a full layer of a cross-decoder makes K and V. It covers
    all tokens of the forward, and ``hidden`` may cover the last tokens only.
    """

    def __init__(self, config: HySparseConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.selects = layer in config.selecting_layers
        self.selection = config.selection
        self.gate = gate_projection(config, self.row) if self.row.gated else None
        self.sinks = sink_biases(self.row) if self.row.sinks else None

    def forward(
        self, hidden: Tensor, blocks: SelectedBlocks, step: Step, lent: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        q = self.query(hidden, step)
        k, v = self.keys_values(hidden if lent is None else lent, step.whole or step)
        run = operations_for(q, v)
        # Replayed blocks need no selection, so the cheaper kernel is enough.
        if self.selects and (blocks.indices is None or blocks.compare):
            out, blocks.chosen = run.full_attention_with_selection(q, k, v, step.segments, self.selection, self.sinks)
            blocks.indices = blocks.chosen if blocks.indices is None else blocks.indices
        else:
            out = run.causal_attention(q, k, v, step.segments, self.sinks)
        if self.gate is not None:
            out = apply_gate(out, self.gate(hidden))
        return self.output(out), *summed_in_float32(k, v)


class SparseAttention(Projections):
    """Equations 4-9: one query, a branch over shared K and V, and a branch over an own window, gated and summed."""

    def __init__(self, config: HySparseConfig, layer: int) -> None:
        super().__init__(config, layer)
        row = self.row
        self.has_sparse, self.has_window = row.keys is not None, row.window is not None
        self.g_sparse = gate_projection(config, row) if row.gated and self.has_sparse else None
        self.g_swa = gate_projection(config, row) if row.gated and self.has_window else None
        self.sinks_sparse = sink_biases(row) if row.sinks and self.has_sparse else None
        self.sinks_swa = sink_biases(row) if row.sinks and self.has_window else None

    def forward(self, hidden: Tensor, blocks: SelectedBlocks, step: Step) -> Tensor:
        q = self.query(hidden, step)
        # One launch serves a new token. The kernel has no backward pass.
        fused = operations(q.device.type).sparse_decode
        both = self.has_sparse and self.has_window
        if fused is not None and both and q.shape[2] == 1 and not torch.is_grad_enabled():
            return self.output(self.decoded(fused, q, hidden, blocks, step))
        # gates and sum in one pass over the branches' outputs
        fused = operations(q.device.type).gated_sum
        if fused is not None and self.g_sparse is not None and self.g_swa is not None:
            gates = (self.g_sparse(hidden), self.g_swa(hidden))
            return self.output(fused(self.shared(q, blocks, step), self.windowed(q, hidden, step), *gates))
        outputs = []
        if self.has_sparse:
            outputs.append(gated(self.shared(q, blocks, step), self.g_sparse, hidden))
        if self.has_window:
            outputs.append(gated(self.windowed(q, hidden, step), self.g_swa, hidden))
        return self.output(sum(outputs[1:], outputs[0]))

    def decoded(self, fused: Any, q: Tensor, hidden: Tensor, blocks: SelectedBlocks, step: Step) -> Tensor:
        """Both branches and their gates for one new token a row, in one launch."""
        near = self.keys_values(hidden, step)
        sinks = None if self.sinks_sparse is None else (self.sinks_sparse, self.sinks_swa)
        gates = None
        if self.g_sparse is not None and self.g_swa is not None:
            gates = tuple(gate(hidden)[:, 0].unflatten(-1, (q.shape[1], -1)) for gate in (self.g_sparse, self.g_swa))
        return fused(
            q,
            blocks.keys,
            blocks.values,
            blocks.indices,
            step.segments,
            self.row.chosen,
            near,
            self.row.window,
            sinks,
            gates,
        )

    def shared(self, q: Tensor, blocks: SelectedBlocks, step: Step) -> Tensor:
        """Branch over the selected blocks of the full layer's K and V."""
        run, k, v = operations(q.device.type), blocks.keys, blocks.values
        assert k is not None, "the first layer is a full one"
        if blocks.shared is None:
            blocks.shared = run.share(blocks.indices, step.segments, self.row.chosen, q.shape[1] // k.shape[1])
        return run.sparse_attention(q, k, v, blocks.shared, step.segments, self.row.chosen, self.sinks_sparse)

    def windowed(self, q: Tensor, hidden: Tensor, step: Step) -> Tensor:
        """Branch over the layer's own last tokens."""
        k, v = self.keys_values(hidden, step)
        return operations_for(q, v).window_attention(q, k, v, step.segments, self.row.window, self.sinks_swa)


def gated(out: Tensor, gate: nn.Linear | None, hidden: Tensor) -> Tensor:
    """``out`` under its gate. Without a gate in the configuration, ``out`` stays as it is."""
    return out if gate is None else apply_gate(out, gate(hidden))
