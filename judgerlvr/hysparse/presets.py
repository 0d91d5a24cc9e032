"""Named configurations: the paper's two models, and our own small models."""

from __future__ import annotations

from typing import Any

from judgerlvr.hysparse.config import HySparseConfig

LONG_ROPE = {"rope_type": "default", "rope_theta": 640_000.0}
SHORT_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}

# Table 1 of the paper. ``assumed`` lists fields that the table lacks. Our values reach the paper's parameter counts.
PRESETS: dict[str, dict[str, Any]] = {
    "7b": {
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "hidden_size": 4096,
        "sparse_ratio": 3,
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


def preset(name: str, **changes: Any) -> HySparseConfig:
    """The named configuration with ``changes``. Raises KeyError for an unknown name."""
    return HySparseConfig(**{**PRESETS[name], **changes})
