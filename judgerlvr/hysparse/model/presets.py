"""Named configurations: the models of both papers, and our own small models."""

from __future__ import annotations

from typing import Any

from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.layout import FULL, SPARSE, WINDOWS

LONG_ROPE = {"rope_type": "default", "rope_theta": 640_000.0}
SHORT_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}

# Why an assumed value was taken, where a model's size decides.
INFERRED = {"gates": "inferred from the names 7B and 80B-A3B"}

# Table 1 of the paper. ``assumed`` lists fields that the table lacks. Our values reach the paper's parameter counts.
PRESETS: dict[str, dict[str, Any]] = {
    "7b": {
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "hidden_size": 4096,
        "sparse_ratio": 3,
        "gates": "head",
        "intermediate_size": 9728,
        "vocab_size": 151_936,
        "rope_parameters": LONG_ROPE,
        "assumed": ["intermediate_size", "vocab_size", "closing_full", "gates", "qk_norm"],
    },
    "80b-a3b": {
        "num_hidden_layers": 49,
        "num_attention_heads": 64,
        "num_key_value_heads": 4,
        "hidden_size": 2048,
        "sparse_ratio": 11,
        "gates": "head",
        "num_experts": 512,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 512,
        "norm_topk_prob": True,
        "vocab_size": 151_936,
        "rope_parameters": LONG_ROPE,
        "assumed": ["moe_intermediate_size", "norm_topk_prob", "vocab_size", "gates", "qk_norm"],
    },
    "small": {
        "num_hidden_layers": 13,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "hidden_size": 768,
        "sparse_ratio": 3,
        "intermediate_size": 2048,
        "vocab_size": 32_768,
        "tie_word_embeddings": True,
        "rope_parameters": SHORT_ROPE,
    },
    "tiny": {
        "num_hidden_layers": 7,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "hidden_size": 64,
        "sparse_ratio": 2,
        "intermediate_size": 128,
        "vocab_size": 512,
        "select_block": 16,
        "select_tokens": 64,
        "sliding_window": 32,
        "rope_parameters": SHORT_ROPE,
    },
}
PRESETS["tiny-moe"] = PRESETS["tiny"] | {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "norm_topk_prob": True,
}
# What HySparse2 models of every size share: tokens are chosen, and window layers alone turn a quarter of each head.
HYSPARSE2: dict[str, Any] = {
    "num_key_value_heads": 1,
    "branches": "sparse",
    "select_block": 1,
    "rotary_layers": WINDOWS,
    "rope_parameters": SHORT_ROPE | {"partial_rotary_factor": 0.25},
}
# HySparse2 (arXiv 2609.26368), and the two models that its paper compares with it.
PRESETS["hysparse2"] = (
    PRESETS["80b-a3b"]
    | HYSPARSE2
    | {
        "head_dim": 256,
        "self_decoder_layers": 25,
        "layer_types": [SPARSE] * 24 + [FULL] + ([FULL] + [SPARSE] * 5) * 4,
        "select_tokens": 1024 + 128,
        "forced_local_blocks": 128,
        "assumed": [
            *("hidden_size", "num_experts", "num_experts_per_tok", "moe_intermediate_size", "norm_topk_prob"),
            *("vocab_size", "layer_types", "bridges", "gates", "gate_full", "qk_norm"),
        ],
    }
)
_COMPARED = PRESETS["80b-a3b"] | {"head_dim": 192, "v_head_dim": 128}
_UNSAID = ["hidden_size", "num_experts", "num_experts_per_tok", *PRESETS["80b-a3b"]["assumed"], "layer_types"]
PRESETS["hysparse2-vs-hysparse"] = _COMPARED | {"assumed": _UNSAID}
PRESETS["hysparse2-vs-window"] = _COMPARED | {"sparse_ratio": 5, "branches": "window", "assumed": _UNSAID}
PRESETS["hysparse2-tiny"] = (
    PRESETS["tiny"]
    | HYSPARSE2
    | {
        "num_hidden_layers": 11,
        "self_decoder_layers": 5,
        "layer_types": [SPARSE, FULL, SPARSE, SPARSE, FULL, FULL, SPARSE, SPARSE, FULL, SPARSE, SPARSE],
        "select_tokens": 32 + 8,
        "forced_local_blocks": 8,
    }
)


def preset(name: str, **changes: Any) -> HySparseConfig:
    """The named configuration with ``changes``. Raises KeyError for an unknown name."""
    return HySparseConfig(**{**PRESETS[name], **changes})
