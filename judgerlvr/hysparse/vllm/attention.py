"""The attention modules of ``judgerlvr.hysparse.model.attention`` on vLLM's layers, caches and tensor parallelism."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from vllm.distributed import get_tensor_model_parallel_world_size
from vllm.model_executor.layers.attention import Attention
from vllm.model_executor.layers.layernorm import RMSNorm
from vllm.model_executor.layers.linear import ColumnParallelLinear, QKVParallelLinear, RowParallelLinear
from vllm.model_executor.layers.rotary_embedding import get_rope
from vllm.model_executor.model_loader.weight_utils import sharded_weight_loader

from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.layout import FULL
from judgerlvr.hysparse.vllm.backend import backend_for
from judgerlvr.hysparse.vllm.compat import schedules_in_the_step, sink_dtype, source_impl, without_window
from judgerlvr.hysparse.vllm.weights import APART, KEY, QUERY, VALUE


class Projections(nn.Module):
    """Query and output projections, and those of keys and values that the layer makes, with QK norm and RoPE.

    Parameters have the checkpoint's names, but for those in ``apart``. ``weights.apart`` renames the checkpoint's.
    """

    def __init__(self, vllm_config: Any, layer: int, prefix: str) -> None:
        super().__init__()
        config = self.config = vllm_config.model_config.hf_text_config
        row = self.row = config.rows[layer]
        self.vllm_config, self.layer, self.prefix = vllm_config, layer, prefix
        ranks = get_tensor_model_parallel_world_size()
        self.heads, self.kv_heads, self.head_dim = row.heads // ranks, row.kv_heads // ranks, row.key_dim
        self.qkv_proj, self.apart = self._joint(), self._apart()
        width, bias = row.heads * row.key_dim, config.attention_bias
        self.o_proj = RowParallelLinear(width, config.hidden_size, bias=bias, prefix=f"{prefix}.o_proj")
        self.q_norm = RMSNorm(row.key_dim, eps=config.rms_norm_eps) if config.qk_norm else None
        has_keys = config.qk_norm and row.projects is not None
        self.k_norm = RMSNorm(row.key_dim, eps=config.rms_norm_eps) if has_keys else None
        positions, rope = config.max_position_embeddings, config.rope_parameters
        turns = row.rotary > 0
        self.rotary_emb = get_rope(row.key_dim, max_position=positions, rope_parameters=rope) if turns else None

    def project(
        self, positions: Tensor, hidden: Tensor, lent: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Rotated q [tokens, heads * dim] and k [tokens, kv_heads * dim], and v. No k and v if the layer makes none.

        ``lent`` is the normalised input of the layer whose input the row's ``projects`` names, if that is another.
        """
        q, k, v = self._products(hidden, lent)
        q = self._normed(q, self.q_norm)
        k = None if k is None else self._normed(k, self.k_norm)
        if self.rotary_emb is not None:
            q, k = self.rotary_emb(positions, q, k)
        return q, k, v

    def output(self, heads: Tensor) -> Tensor:
        projected: Tensor = self.o_proj(heads)[0]
        return projected

    def make_gate(self, name: str) -> ColumnParallelLinear:
        """Projection to a gate logit an element of the heads' output, or to a logit a head."""
        config, row = self.config, self.row
        width = row.heads * (row.value_dim if config.gates == "element" else 1)
        return ColumnParallelLinear(config.hidden_size, width, bias=config.gate_bias, prefix=f"{self.prefix}.{name}")

    def gated(self, out: Tensor, gate: ColumnParallelLinear | None, hidden: Tensor) -> Tensor:
        """``out`` [tokens, heads * dim] times the sigmoid of its gate, as ``gates.apply_gate`` does."""
        if gate is None:
            return out
        logits = gate(hidden)[0].unflatten(-1, (self.heads, -1))
        gated: Tensor = out.unflatten(-1, (self.heads, -1)) * logits.sigmoid()
        return gated.flatten(-2)

    def make_sinks(self, stock: bool) -> nn.Parameter:
        """This rank's part of one sink a query head: float32, or the dtype that vLLM's ``stock`` kernels take."""
        dtype = torch.get_default_dtype()
        dtype = sink_dtype(dtype, torch.get_default_device().type) if stock else torch.float32
        parameter = nn.Parameter(torch.zeros(self.heads, dtype=dtype), requires_grad=False)
        parameter.weight_loader = sharded_weight_loader(0)
        return parameter

    def stock_attention(self, name: str, sinks: nn.Parameter | None, window: int | None = None) -> Attention:
        """Attention on the backend that vLLM picks for the device."""
        given = {} if sinks is None else {"sinks": sinks}
        attention = self._attention(name, per_layer_sliding_window=window, **given)
        if window is not None and windows_alone(self.config):
            schedules_in_the_step(attention)
        return attention

    def own_attention(self, name: str, **arguments: Any) -> Attention:
        """Attention on the HySparse backend, in either role."""
        selection = self.config.selection
        return self._attention(name, attn_backend=backend_for(selection.block), selection=selection, **arguments)

    def _attention(self, name: str, **arguments: Any) -> Attention:
        return Attention(
            self.heads,
            self.head_dim,
            self.head_dim**-0.5,
            num_kv_heads=self.kv_heads,
            cache_config=without_window(self.vllm_config.cache_config),
            prefix=f"{self.prefix}.{name}",
            **arguments,
        )

    def _joint(self) -> nn.Module | None:
        """Queries, keys and values in one product, for a layer that makes keys of its own input."""
        config, row = self.config, self.row
        if row.projects != row.layer:
            return None
        sizes, bias = (config.hidden_size, row.key_dim, row.heads, row.kv_heads), config.attention_bias
        return QKVParallelLinear(*sizes, bias=bias, prefix=f"{self.prefix}.qkv_proj")

    def _apart(self) -> nn.ModuleDict:
        """Queries, and keys and values if the layer makes any, as products of different inputs."""
        config, row = self.config, self.row
        widths = [row.heads * row.key_dim, *[row.kv_heads * row.key_dim] * 2]
        made = {None: 1, row.layer: 0}.get(row.projects, len(APART))
        found = nn.ModuleDict()
        for name, width in list(zip(APART, widths, strict=True))[:made]:
            prefix = f"{self.prefix}.apart.{name}"
            found[name] = ColumnParallelLinear(config.hidden_size, width, bias=config.attention_bias, prefix=prefix)
        return found

    def _products(self, hidden: Tensor, lent: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if self.qkv_proj is not None:
            widths = [self.heads * self.head_dim, *[self.kv_heads * self.head_dim] * 2]
            q, k, v = self.qkv_proj(hidden)[0].split(widths, dim=-1)
            return q, k, v
        q = self.apart[QUERY](hidden)[0]
        return (q, None, None) if lent is None else (q, self.apart[KEY](lent)[0], self.apart[VALUE](lent)[0])

    def _normed(self, flat: Tensor, norm: RMSNorm | None) -> Tensor:
        return flat if norm is None else norm(flat.unflatten(-1, (-1, self.head_dim))).flatten(-2)


def windows_alone(config: HySparseConfig) -> bool:
    """Whether every full layer selects, so that vLLM's own backend serves windows only."""
    return config.kinds.count(FULL) == len(config.selecting_layers)


class FullAttention(Projections):
    """Equations 1-3. A full layer that no sparse layer follows runs on vLLM's own backend."""

    def __init__(self, vllm_config: Any, layer: int, prefix: str) -> None:
        super().__init__(vllm_config, layer, prefix)
        selects = layer in self.config.selecting_layers
        self.sinks = self.make_sinks(stock=not selects) if self.row.sinks else None
        self.gate = self.make_gate("gate") if self.row.gated else None
        if selects:
            tokens = vllm_config.scheduler_config.max_num_batched_tokens
            longest = vllm_config.model_config.max_model_len
            self.attn = self.own_attention("attn", sinks=self.sinks, max_tokens=tokens, longest=longest)
        else:
            self.attn = self.stock_attention("attn", self.sinks)

    def forward(self, positions: Tensor, hidden: Tensor, lent: Tensor | None = None) -> Tensor:
        out = self.attn(*self.project(positions, hidden, lent))
        return self.output(self.gated(out, self.gate, hidden))


class SparseAttention(Projections):
    """Equations 4-9: a branch over the full layer's cache and selection, a branch over an own window, or both."""

    def __init__(self, vllm_config: Any, layer: int, prefix: str) -> None:
        super().__init__(vllm_config, layer, prefix)
        row = self.row
        shares, has_window = row.keys is not None, row.window is not None
        self.g_sparse = self.make_gate("g_sparse") if row.gated and shares else None
        self.g_swa = self.make_gate("g_swa") if row.gated and has_window else None
        self.sinks_sparse = self.make_sinks(stock=False) if row.sinks and shares else None
        self.sinks_swa = self.make_sinks(stock=True) if row.sinks and has_window else None
        self.attn_sparse = self._shared() if shares else None
        self.attn_swa = self.stock_attention("attn_swa", self.sinks_swa, row.window) if has_window else None

    def _shared(self) -> Attention:
        name = self.prefix.replace(f".{self.layer}.", f".{self.row.keys}.") + ".attn"
        source = source_impl(name, self.vllm_config)
        return self.own_attention(
            "attn_sparse", kv_sharing_target_layer_name=name, source=source, sinks=self.sinks_sparse
        )

    def forward(self, positions: Tensor, hidden: Tensor, lent: Tensor | None = None) -> Tensor:
        q, k, v = self.project(positions, hidden)
        outputs = []
        if self.attn_sparse is not None:
            # k and v, if any, belong to the window. A layer that shares a cache writes none.
            outputs.append(self.gated(self.attn_sparse(q, k, v), self.g_sparse, hidden))
        if self.attn_swa is not None:
            outputs.append(self.gated(self.attn_swa(q, k, v), self.g_swa, hidden))
        total, *others = outputs
        for other in others:
            total = total + other
        return self.output(total)
