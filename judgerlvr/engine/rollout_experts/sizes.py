"""How much of a rollout's experts travels with a sample. Carrier and planner ask here. No torch is imported."""

from __future__ import annotations

# Ids up to this number fit a byte.
BYTE = 256
# A row's values are int16.
VALUE_BYTES = 2


def row_bytes(layers: int, top_k: int, experts: int) -> int:
    """Bytes that a token carries. Layers without a router carry zeros."""
    ids = layers * top_k
    return VALUE_BYTES * (ids if experts > BYTE else -(-ids // 2))


def sample_bytes(tokens: int, layers: int, top_k: int, experts: int) -> int:
    """Bytes that a sample of ``tokens`` tokens carries."""
    return tokens * row_bytes(layers, top_k, experts)
