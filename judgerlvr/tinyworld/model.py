"""Shapes of the base models, and a fresh model of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import (
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

_COMMON: dict[str, Any] = {
    "hidden_size": 192,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "tie_word_embeddings": True,
    "dtype": "bfloat16",
}
# Keys are the names that transformers gives to the architectures.
SHAPES: dict[str, dict[str, Any]] = {
    "qwen3_moe": _COMMON
    | {
        "intermediate_size": 512,
        "moe_intermediate_size": 192,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "norm_topk_prob": True,
    },
    "qwen3": _COMMON | {"intermediate_size": 512},
}


def make_config(
    architecture: str, tokenizer: PreTrainedTokenizerFast, shape: Mapping[str, Any] | None = None
) -> PreTrainedConfig:
    """The configuration of a preset, with single keys replaced by ``shape``; its vocabulary is the tokenizer's."""
    kind = Qwen3MoeConfig if architecture == "qwen3_moe" else Qwen3Config
    values = SHAPES[architecture] | dict(shape or {})
    return kind(
        **values,
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def fresh_model(config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """A randomly initialised model in fp32, ready to train."""
    torch.manual_seed(seed)
    kind = Qwen3MoeForCausalLM if config.model_type == "qwen3_moe" else Qwen3ForCausalLM
    return kind._from_config(config, dtype=torch.float32)
