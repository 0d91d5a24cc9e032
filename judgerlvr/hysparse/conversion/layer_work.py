"""Work of a layer of a conversion: products, attention and bytes, from the sizes of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from judgerlvr.hysparse.conversion import conversion_rates as rates
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.layout import FULL
from judgerlvr.hysparse.model.sizes import FLOPS_PER_PAIR_AND_DIM, pairs

TERA, MICRO = 1e12, 1e-6


@dataclass(frozen=True)
class Speeds:
    """Operations a second of a card, and bytes a second that its memory gives to element-wise operations."""

    products: float
    full: float
    selected: float
    window: float
    memory: float


def elements(config: HySparseConfig, layer: int) -> tuple[int, int, int, int]:
    """Elements of a token in ``layer``: hidden states, queries, keys, and feed-forward.

    In a layer of experts, a token has the elements of the experts that it uses.
    """
    queries, keys = (n * config.head_dim for n in (config.num_attention_heads, config.num_key_value_heads))
    width = config.intermediate_size
    if layer in config.expert_layers:
        width = config.num_experts_per_tok * (config.moe_intermediate_size + config.hidden_size)
    return config.hidden_size, queries, keys, width


def summed(coefficients: Sequence[int], config: HySparseConfig, layer: int) -> int:
    """Bytes a token of ``layer``: coefficients times ``elements``."""
    return sum(bytes_of * size for bytes_of, size in zip(coefficients, elements(config, layer), strict=True))


def multiplied(config: HySparseConfig, layer: int, kind: str, gates: str) -> int:
    """Weights that a token is multiplied with in ``layer``, run as ``kind``. ``gates`` is element or head."""
    hidden, queries, keys, _ = elements(config, layer)
    attention = 2 * hidden * (queries + keys)
    if kind != FULL:
        attention += 2 * hidden * (queries if gates == "element" else config.num_attention_heads)
    if layer not in config.expert_layers:
        return attention + 3 * hidden * config.intermediate_size
    experts = config.num_experts_per_tok * 3 * hidden * config.moe_intermediate_size
    return attention + config.num_experts * hidden + experts


def layer_seconds(
    config: HySparseConfig, layer: int, kind: str, rows: int, length: int, speeds: Speeds, backward: bool = False
) -> float:
    """Seconds of ``layer``, run as ``kind``, over ``rows`` rows of ``length`` tokens.

    Without ``backward``, the layer has the search's bf16 weights and head gates. With it, the layer is trained.
    """
    tokens, both_ways = rows * length, 1 + rates.BACKWARD_ATTENTION * backward
    gates = "element" if backward else "head"
    products = 2 * tokens * multiplied(config, layer, kind, gates) * (1 + rates.BACKWARD_PRODUCTS * backward)
    pair = rows * FLOPS_PER_PAIR_AND_DIM * 2 * config.num_attention_heads * config.head_dim * both_ways
    if kind == FULL:
        attention = pair * pairs(length, length) / speeds.full
    else:
        attention = pair * pairs(length, config.select_tokens) / speeds.selected
        attention += pair * pairs(length, config.sliding_window or 0) / speeds.window
    traffic = tokens * summed(rates.TRAINED_TRAFFIC if backward else rates.SEARCH_TRAFFIC, config, layer)
    launched = (rates.TRAINED_LAUNCHES if backward else rates.SEARCH_LAUNCHES) * rates.LAUNCH_US.value * MICRO
    return max(launched, products / speeds.products + attention + traffic / speeds.memory)


def saved_bytes(config: HySparseConfig, layer: int, kind: str) -> int:
    """Bytes a token that ``layer`` saves for its backward pass in a distillation."""
    return summed(rates.SAVED_BY_FULL if kind == FULL else rates.SAVED_BY_SPARSE, config, layer)
