"""Which layers are full and which are sparse, and the row of a layer in the table of a configuration.

A hybrid block is one full layer and N sparse layers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# transformers' caches and vLLM's cache groups understand these names. A sparse layer owns a window cache only.
FULL = "full_attention"
SPARSE = "sliding_attention"
HEAD_DIM = 128  # unless a configuration says otherwise
# Layers whose heads turn with the position: all layers, or those that have a window and nothing else.
ROTARY = EVERY, WINDOWS = "every", "windows"
# Fields that ask for layers of HySparse2, with the values that do not. No kernel and no plan knows such layers.
BEYOND = {"self_decoder_layers": 0, "rotary_layers": EVERY, "v_head_dim": None}


@dataclass(frozen=True)
class LayerRow:
    """How layer number ``layer`` attends. A layer has a branch over all tokens, a branch over a window, or both.

    ``keys`` is the layer whose cached K and V the first branch reads. A full layer caches its own, so the row names the
    layer itself. ``chosen`` is the block size in tokens if the branch sees only what layer ``keys`` chose, else 0.
    ``window`` counts the last tokens that the second branch sees in K and V of its own. Without the branch, ``keys`` or
    ``window`` is None. ``projects`` is the layer whose normalised input the layer makes its own K and V of, None if the
    layer makes none. ``rotary`` counts the leading dims of a head that turn with the position.
    """

    layer: int
    keys: int | None
    chosen: int
    projects: int | None
    window: int | None
    rotary: int
    heads: int
    kv_heads: int
    key_dim: int
    value_dim: int
    gated: bool
    sinks: bool

    @property
    def full(self) -> bool:
        """Whether the layer caches K and V of every token."""
        return self.keys == self.layer


def layer_types(layers: int, ratio: int, closing_full: bool = True) -> list[str]:
    """Kinds of ``layers`` layers: each full layer is followed by up to ``ratio`` sparse ones.

    ``closing_full`` makes the last layer full, as the paper states. 49 layers at 1:11 then have 5 full layers, the
    paper's count. 36 layers at 1:3 have 10 full layers, and the last hybrid block is one sparse layer short. Without
    ``closing_full`` the 36 layers split evenly into 9 full and 27 sparse layers, and the stack ends sparse.
    """
    kinds = [FULL if index % (ratio + 1) == 0 else SPARSE for index in range(layers)]
    if closing_full:
        kinds[-1] = FULL
    return kinds


def letters(kinds: Sequence[str]) -> str:
    """The kinds of the layers, f for full and s for sparse or window layers."""
    return " ".join("f" if kind == FULL else "s" for kind in kinds)


def with_full(layers: int, full: Collection[int]) -> list[str]:
    """Kinds of ``layers`` layers of which those in ``full`` are full, and the rest sparse."""
    return [FULL if layer in full else SPARSE for layer in range(layers)]


def check_layer_types(kinds: Sequence[str], self_decoder: int = 0) -> None:
    """Raise ValueError unless every sparse layer has a full layer before it that gives K, V and indices.

    The first ``self_decoder`` layers have no sparse layers.
    """
    unknown = sorted(set(kinds) - {FULL, SPARSE})
    if unknown:
        raise ValueError(f"layer_types holds {unknown}; HySparse knows {FULL!r} and {SPARSE!r}")
    rest = kinds[self_decoder:]
    if not rest or rest[0] != FULL:
        where = "after the self-decoder" if self_decoder else "of all"
        raise ValueError(
            f"the first layer {where} must be {FULL!r}: a sparse layer takes K, V and indices from a full layer "
            "before it"
        )


def paired(kinds: Sequence[str], self_decoder: int) -> list[int]:
    """For each full layer of the cross-decoder, in order, the full layer of the self-decoder at the same place.

    The last full layer of the self-decoder stands for all places after it.
    """
    givers = [layer for layer in range(self_decoder) if kinds[layer] == FULL]
    takers = list(kinds[self_decoder:]).count(FULL) if self_decoder else 0
    return [givers[min(place, len(givers) - 1)] for place in range(takers if givers else 0)]


def check_bridges(kinds: Sequence[str], self_decoder: int, bridges: Sequence[int]) -> None:
    """Raise ValueError unless ``bridges`` names a full layer of the self-decoder for each later full layer."""
    if not self_decoder and not bridges:
        return
    if not 0 < self_decoder < len(kinds):
        raise ValueError(f"self_decoder_layers {self_decoder} must leave layers of {len(kinds)} to the cross-decoder")
    takers = list(kinds[self_decoder:]).count(FULL)
    wrong = [layer for layer in bridges if layer not in range(self_decoder) or kinds[layer] != FULL]
    if wrong or len(bridges) != takers:
        raise ValueError(
            f"bridges {list(bridges)} must name a full layer of the self-decoder for each of the {takers} full layers "
            "after it"
        )


def beyond_kernels(fields: Mapping[str, Any]) -> list[str]:
    """Names of the fields by which a configuration asks for layers of HySparse2, which run in PyTorch alone."""
    partial = (fields.get("rope_parameters") or {}).get("partial_rotary_factor", 1.0) != 1.0
    return [name for name, plain in BEYOND.items() if fields.get(name, plain) != plain] + ["rope_parameters"] * partial


def unserved(fields: Mapping[str, Any]) -> tuple[str, str] | None:
    """The field by which a configuration asks for layers that vLLM does not serve on any device, and the reason."""
    dim, early = fields.get("head_dim", HEAD_DIM), fields.get("self_decoder_layers", 0)
    if (fields.get("v_head_dim") or dim) != dim:
        return "v_head_dim", f"vLLM's window layers take no values of another width than the keys' {dim}"
    kinds = fields.get("layer_types") or ()
    if fields.get("branches") == "sparse" and SPARSE in kinds[early:] and SPARSE not in kinds[:early]:
        return "branches", "no layer has a window, and vLLM 0.24 does not start without one"
    return None


def serves_sparse(kinds: Sequence[str], layer: int) -> bool:
    """Whether a sparse layer follows full layer ``layer``, so that the full layer must select blocks."""
    return kinds[layer] == FULL and layer + 1 < len(kinds) and kinds[layer + 1] == SPARSE


def source_layer(kinds: Sequence[str], layer: int) -> int:
    """The full layer whose K, V and indices sparse layer ``layer`` uses."""
    return max(index for index in range(layer + 1) if kinds[index] == FULL)
