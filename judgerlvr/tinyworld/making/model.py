"""Shapes of the base models, and fresh models."""

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

from judgerlvr.hysparse import HySparseConfig, HySparseForCausalLM
from judgerlvr.hysparse.model.layout import FULL, SPARSE
from judgerlvr.hysparse.model.presets import HYSPARSE2

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
_DENSE: dict[str, Any] = {"intermediate_size": 512}
_EXPERTS: dict[str, Any] = _DENSE | {
    "moe_intermediate_size": 192,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "norm_topk_prob": True,
}
# Two hybrid blocks of one full and two sparse layers. Texts of the world have about 90 tokens, so most queries see more
# than the two blocks of 16 that they may choose.
_HYSPARSE: dict[str, Any] = {
    "sparse_ratio": 2,
    "closing_full": False,
    "select_block": 16,
    "select_tokens": 32,
    "sliding_window": 32,
    "qk_norm": True,  # The Qwen3 bases have QK norm too.
}
# HySparse2 chooses tokens. Two window layers and a full layer come first. The second full layer reads the first one's
# input and serves two sparse layers. Forced tokens are in the proportion of the `hysparse2` preset.
_HYSPARSE2: dict[str, Any] = HYSPARSE2 | {
    "self_decoder_layers": 3,
    "layer_types": [SPARSE, SPARSE, FULL, FULL, SPARSE, SPARSE],
    "select_tokens": 32 + 4,
    "forced_local_blocks": 4,
    "sliding_window": 32,
    "qk_norm": True,
}
# Keys are transformers' names of the architectures. The names of HySparse with experts and of HySparse2 are ours.
SHAPES: dict[str, dict[str, Any]] = {
    "qwen3_moe": _COMMON | _EXPERTS,
    "qwen3": _COMMON | _DENSE,
    "hysparse_moe": _COMMON | _EXPERTS | _HYSPARSE,
    "hysparse": _COMMON | _DENSE | _HYSPARSE,
    "hysparse2": _COMMON | _DENSE | _HYSPARSE2,
}
_CONFIGS: dict[str, type[PreTrainedConfig]] = {
    "qwen3_moe": Qwen3MoeConfig,
    "qwen3": Qwen3Config,
    "hysparse_moe": HySparseConfig,
    "hysparse": HySparseConfig,
    "hysparse2": HySparseConfig,
}
_MODELS: dict[str, type[PreTrainedModel]] = {
    "qwen3_moe": Qwen3MoeForCausalLM,
    "qwen3": Qwen3ForCausalLM,
    "hysparse": HySparseForCausalLM,
}


def make_config(
    architecture: str, tokenizer: PreTrainedTokenizerFast, shape: Mapping[str, Any] | None = None
) -> PreTrainedConfig:
    """The configuration of a preset, with single keys replaced by ``shape``. The vocabulary is the tokenizer's."""
    values = SHAPES[architecture] | dict(shape or {})
    return _CONFIGS[architecture](
        **values,
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def fresh_model(config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """A randomly initialised model in fp32, ready to train."""
    torch.manual_seed(seed)
    return _MODELS[config.model_type]._from_config(config, dtype=torch.float32)


def has_experts(config: PreTrainedConfig) -> bool:
    """Whether the model has a router, and thus a load-balancing loss."""
    return getattr(config, "num_experts", 0) > 0
