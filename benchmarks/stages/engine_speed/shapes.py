"""Policies with random weights in real shapes, made on the device; how many operations one of their tokens costs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

BASE = Path("judgerlvr/tinyworld/base/qwen3")
VOCABULARY = 151_936
COMMON = {
    "vocab_size": VOCABULARY,
    "head_dim": 128,
    "max_position_embeddings": 131_072,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
    "rms_norm_eps": 1e-6,
}
# Layers of Qwen3-30B-A3B.
MOE = {
    "model_type": "qwen3_moe",
    "architectures": ["Qwen3MoeForCausalLM"],
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 768,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "tie_word_embeddings": False,
}
DENSE = {
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "num_hidden_layers": 28,
    "tie_word_embeddings": True,
}
TINY = {"hidden_size": 64, "head_dim": 32, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}
FEW_EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
# Qwen3-1.7B.
LARGER_DENSE = {"hidden_size": 2048, "intermediate_size": 6144}
# Layers of Qwen3-4B.
WIDE_DENSE = {"hidden_size": 2560, "intermediate_size": 9728, "num_attention_heads": 32}
SHAPES = {
    "moe": COMMON | MOE | {"num_hidden_layers": 3},
    "moe-4": COMMON | MOE | {"num_hidden_layers": 4},
    "moe-12": COMMON | MOE | {"num_hidden_layers": 12},
    "dense": COMMON | DENSE,
    "dense-1.7b": COMMON | DENSE | LARGER_DENSE,
    "dense-4b-12": COMMON | DENSE | WIDE_DENSE | {"num_hidden_layers": 12},
    "tiny-moe": COMMON | MOE | TINY | FEW_EXPERTS | {"num_hidden_layers": 2, "vocab_size": 2048},
    "tiny-dense": COMMON | DENSE | TINY | {"num_hidden_layers": 2, "vocab_size": 2048},
}


def write_shape(name: str, out: Path) -> Path:
    """A model folder without weights: configuration, and a tokenizer that nothing here uses."""
    out.mkdir(parents=True, exist_ok=True)
    for file in BASE.iterdir():
        if file.suffix in (".json", ".jinja") and "config" not in file.stem.replace("tokenizer_config", ""):
            shutil.copy(file, out / file.name)
    (out / "config.json").write_text(json.dumps(SHAPES[name] | {"dtype": "bfloat16"}))
    return out


@contextmanager
def weights_from_nowhere(device: str) -> Iterator[None]:
    """Inside, transformers' ``from_pretrained`` draws weights on the device where it would read a file."""
    from transformers import AutoModelForCausalLM

    def draw(*_: Any, config: Any, torch_dtype: torch.dtype, **__: Any) -> Any:
        torch.manual_seed(1)
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(config, dtype=torch_dtype)
        model.tie_weights()
        spread(model)
        return model

    original = AutoModelForCausalLM.__dict__["from_pretrained"]
    AutoModelForCausalLM.from_pretrained = draw  # type: ignore[method-assign]
    try:
        yield
    finally:
        AutoModelForCausalLM.from_pretrained = original  # type: ignore[method-assign]


def spread(model: Any) -> None:
    """Make logits of standard deviation 4: else every token is as likely as any other."""
    with torch.no_grad():
        model.get_output_embeddings().weight.normal_(0, 4.0 / model.config.hidden_size**0.5)


def active_parameters(config: Any) -> int:
    """Parameters that multiply each token: all but the embedding, of the experts those that a token visits."""
    heads, kv_heads, dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    attention = config.hidden_size * dim * 2 * (heads + kv_heads)
    experts = getattr(config, "num_experts", 0)
    if experts:
        width = config.num_experts_per_tok * config.moe_intermediate_size
        mlp = 3 * config.hidden_size * width + config.hidden_size * experts
    else:
        mlp = 3 * config.hidden_size * config.intermediate_size
    return config.num_hidden_layers * (attention + mlp) + config.vocab_size * config.hidden_size


def update_flops(config: Any, lengths: list[int]) -> float:
    """Of a forward and a backward pass without recomputing: 6 per active parameter and token, and causal attention's
    6 x layers x heads x head_dim x length per token."""
    attention = 6 * config.num_hidden_layers * config.num_attention_heads * config.head_dim
    return 6.0 * active_parameters(config) * sum(lengths) + attention * sum(length * length for length in lengths)
