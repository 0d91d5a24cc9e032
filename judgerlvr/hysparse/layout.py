"""Which layers attend in full and which are sparse: hybrid blocks of one full layer and N sparse ones."""

from __future__ import annotations

from collections.abc import Sequence

# The names transformers' caches and vLLM's cache groups understand: a sparse layer owns a window cache only.
FULL = "full_attention"
SPARSE = "sliding_attention"


def layer_types(layers: int, ratio: int, closing_full: bool = True) -> list[str]:
    """Kinds of ``layers`` layers: each full layer is followed by up to ``ratio`` sparse ones.

    ``closing_full`` makes the last layer full, as the paper states. 49 layers at 1:11 then have 5 full layers (the
    paper's count) and 36 at 1:3 have 10: the last block is one sparse layer short to make room. Without it the
    36 layers split evenly, 9 full and 27 sparse, and the stack ends sparse.
    """
    kinds = [FULL if index % (ratio + 1) == 0 else SPARSE for index in range(layers)]
    if closing_full:
        kinds[-1] = FULL
    return kinds


def check_layer_types(kinds: Sequence[str]) -> None:
    """Raise ValueError unless every sparse layer has a full layer before it to take K, V and indices from."""
    unknown = sorted(set(kinds) - {FULL, SPARSE})
    if unknown:
        raise ValueError(f"layer_types holds {unknown}; HySparse knows {FULL!r} and {SPARSE!r}")
    if not kinds or kinds[0] != FULL:
        raise ValueError(f"the first layer must be {FULL!r}: a sparse layer takes K, V and indices from one before it")


def serves_sparse(kinds: Sequence[str], layer: int) -> bool:
    """Whether full layer ``layer`` is followed by a sparse one, so that it must select blocks."""
    return kinds[layer] == FULL and layer + 1 < len(kinds) and kinds[layer + 1] == SPARSE


def source_layer(kinds: Sequence[str], layer: int) -> int:
    """The full layer whose K, V and indices sparse layer ``layer`` uses."""
    return max(index for index in range(layer + 1) if kinds[index] == FULL)
