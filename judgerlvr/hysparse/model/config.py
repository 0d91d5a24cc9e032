"""HySparseConfig: a Qwen3-MoE configuration (dense when ``num_experts`` is 0) plus how its layers share attention."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

from transformers import Qwen3MoeConfig

from judgerlvr.hysparse.model.layout import (
    EVERY,
    FULL,
    HEAD_DIM,
    ROTARY,
    LayerRow,
    check_bridges,
    check_layer_types,
    layer_types,
    paired,
    source_layer,
)
from judgerlvr.hysparse.model.remote_code import AUTO_MAP, write_code
from judgerlvr.hysparse.ops.selection import Selection

# Whole numbers of a configuration by the least that a model can have.
LEAST = {
    **dict.fromkeys(("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "hidden_size"), 1),
    **dict.fromkeys(("vocab_size", "intermediate_size", "moe_intermediate_size", "num_experts_per_tok"), 1),
    **dict.fromkeys(("decoder_sparse_step", "max_position_embeddings", "select_block", "select_tokens"), 1),
    **dict.fromkeys(("sparse_ratio", "num_experts", "self_decoder_layers"), 0),
    **dict.fromkeys(("forced_first_blocks", "forced_local_blocks"), 0),
}
SWITCHES = ("closing_full", "gate_bias", "gate_full", "sinks", "sinks_full", "qk_norm")
GATES = ("element", "head", "none")
BRANCHES = ("both", "sparse", "window")


class HySparseConfig(Qwen3MoeConfig):
    """Fields beyond Qwen3-MoE's. Defaults follow the paper, or docs/hysparse.md where the paper is silent.

    ``layer_types`` wins over ``sparse_ratio`` (sparse layers after each full layer) and ``closing_full``.
    ``select_tokens`` counts tokens, forced blocks included. ``sliding_window`` counts the query's own token.
    ``branches`` "window" gives the window-hybrid baseline, and "sparse" drops the window branch. ``assumed`` names
    fields that the paper does not give. Raises ValueError for settings that no model can have.

    HySparse2 has ``self_decoder_layers`` full and window layers first. Each full layer of the cross-decoder after them
    makes its K and V of the input of a full layer of the self-decoder, which ``bridges`` names. ``rotary_layers`` says
    which layers turn heads with the position, and ``partial_rotary_factor`` in ``rope_parameters`` how much of a head.
    ``v_head_dim`` is the head dim of values where keys have another.
    """

    model_type = "hysparse"
    base_model_tp_plan = None
    base_model_ep_plan = None
    base_model_pp_plan = None

    head_dim: int = HEAD_DIM
    num_experts: int = 0
    use_sliding_window: bool = True
    sliding_window: int | None = 128
    sparse_ratio: int = 3
    closing_full: bool = True
    layer_types: list[str] | None = None
    select_block: int = 64
    select_tokens: int = 1024
    forced_first_blocks: int = 0
    forced_local_blocks: int = 0
    branches: str = "both"
    gates: str = "element"
    gate_bias: bool = False
    gate_full: bool = False
    sinks: bool = True
    sinks_full: bool = False
    qk_norm: bool = False
    assumed: list[str] | None = None
    self_decoder_layers: int = 0
    bridges: list[int] | None = None
    rotary_layers: str = EVERY
    v_head_dim: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        self._check_sizes()
        self._check_switches()
        if self.layer_types is None:
            self.layer_types = layer_types(self.num_hidden_layers, self.sparse_ratio, self.closing_full)
        self.assumed = self.assumed or []
        self._check_assumed()
        if self.bridges is None and self.self_decoder_layers:
            self.bridges = paired(self.layer_types, self.self_decoder_layers)
        super().__post_init__(**kwargs)
        check_layer_types(self.kinds, self.self_decoder_layers)
        check_bridges(self.kinds, self.self_decoder_layers, self.bridges or ())
        self._check_selection()
        self._check_choices()
        self._check_rotation()

    @property
    def kinds(self) -> list[str]:
        """Kind of each layer, as ``layout`` names them."""
        return list(self.layer_types or ())

    @property
    def full_layers(self) -> list[int]:
        """Numbers of the full layers."""
        return [layer for layer, kind in enumerate(self.kinds) if kind == FULL]

    @property
    def selecting_layers(self) -> list[int]:
        """Full layers that choose blocks for the sparse layers after them. Empty if no layer reads blocks."""
        return sorted({row.keys for row in self.rows if row.chosen and row.keys is not None})

    @property
    def rows(self) -> list[LayerRow]:
        """The table: a row for each layer, in order."""
        return [self._row(layer, kind == FULL) for layer, kind in enumerate(self.kinds)]

    @property
    def lenders(self) -> list[int]:
        """Layers of the self-decoder whose normalised input a full layer of the cross-decoder reads too."""
        return sorted(set(self.bridges or ()))

    @property
    def expert_layers(self) -> list[int]:
        """Layers whose feed-forward block is a mixture of experts."""
        every, dense = self.decoder_sparse_step, self.mlp_only_layers or ()
        layers = range(len(self.kinds) if self.num_experts > 0 else 0)
        return [layer for layer in layers if layer not in dense and (layer + 1) % every == 0]

    @property
    def selection(self) -> Selection:
        """How a full layer picks blocks for the sparse layers after it."""
        count = self.select_tokens // self.select_block
        return Selection(self.select_block, count, self.forced_first_blocks, self.forced_local_blocks)

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Save config.json with the model's code beside it, loadable with ``trust_remote_code=True``."""
        self.auto_map = dict(AUTO_MAP)
        super().save_pretrained(save_directory, *args, **kwargs)
        write_code(save_directory)

    def _row(self, layer: int, full: bool) -> LayerRow:
        early = layer < self.self_decoder_layers
        shared = not full and not early and self.branches != "window"
        window = not full and (early or self.branches != "sparse")
        turned = self.rotary_layers == EVERY or (window and not shared)
        return LayerRow(
            layer=layer,
            keys=source_layer(self.kinds, layer) if full or shared else None,
            chosen=self.select_block if shared else 0,
            projects=self._source_of_keys(layer, full) if full or window else None,
            window=self.sliding_window if window else None,
            rotary=self._rotary_dims if turned else 0,
            heads=self.num_attention_heads,
            kv_heads=self.num_key_value_heads,
            key_dim=self.head_dim,
            value_dim=self.v_head_dim or self.head_dim,
            gated=self.gate_full if full else self.gates != "none",
            sinks=self.sinks_full if full else self.sinks,
        )

    def _source_of_keys(self, layer: int, full: bool) -> int:
        if not full or not self.bridges or layer < self.self_decoder_layers:
            return layer
        return self.bridges[self.kinds[self.self_decoder_layers : layer].count(FULL)]

    @property
    def _rotary_dims(self) -> int:
        return int(self.head_dim * (self.rope_parameters or {}).get("partial_rotary_factor", 1.0))

    def _check_sizes(self) -> None:
        sizes = LEAST if self.v_head_dim is None else {**LEAST, "v_head_dim": 1}
        for field, least in sizes.items():
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{field} must be a whole number from {least}, not {value!r}")
        if 0 < self.num_experts < self.num_experts_per_tok:
            raise ValueError(f"a token cannot use {self.num_experts_per_tok} of {self.num_experts} experts")

    def _check_switches(self) -> None:
        for field in SWITCHES:
            if not isinstance(getattr(self, field), bool):
                raise ValueError(f"{field} must be true or false, not {getattr(self, field)!r}")

    def _check_assumed(self) -> None:
        if not isinstance(self.assumed, list):
            raise ValueError(f"assumed must be a list of fields, not {self.assumed!r}")
        known = [field.name for field in fields(self)]
        if unknown := [name for name in self.assumed if name not in known]:
            raise ValueError(f"assumed names {unknown[0]!r}, which is no field")

    def _check_rotation(self) -> None:
        factor = (self.rope_parameters or {}).get("partial_rotary_factor", 1.0)
        # Dims turn in pairs.
        if not 0 < factor <= 1 or self.head_dim * factor % 2:
            raise ValueError(
                f"partial_rotary_factor {factor} must turn an even number of the {self.head_dim} dims of a head"
            )

    def _check_selection(self) -> None:
        if self.select_block < 1 or self.select_tokens % self.select_block or self.select_tokens < self.select_block:
            raise ValueError(
                f"select_tokens {self.select_tokens} must be a positive multiple of select_block {self.select_block}"
            )
        forced = self.forced_first_blocks + self.forced_local_blocks
        if forced > self.selection.count:
            raise ValueError(f"{forced} forced blocks do not fit in {self.selection.count} selected ones")
        if self.sliding_window is None or self.sliding_window < 2:
            raise ValueError(f"sliding_window must be at least 2, not {self.sliding_window}")

    def _check_choices(self) -> None:
        for field, allowed in (("gates", GATES), ("branches", BRANCHES), ("rotary_layers", ROTARY)):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} must be one of {', '.join(allowed)}, not {getattr(self, field)!r}")
        if self.rotary_layers != EVERY and any(row.window and row.chosen for row in self.rows):
            raise ValueError("a layer of two branches has one query, which cannot turn for one of them only")
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"{self.num_attention_heads} query heads cannot be split over {self.num_key_value_heads} KV heads"
            )
