"""A model of the lab as transformers' Qwen3, and back."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from benchmarks.lab.model import EPSILON, ROPE_BASE, Shape, Weights
from benchmarks.lab.worlds.base import TOKENS


def qwen3(shape: Shape, weights: Weights, positions: int = 512) -> Qwen3ForCausalLM:
    """The product's architecture with the weights of a run of the lab, without the axis of runs."""
    config = Qwen3Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        head_dim=shape.head_width,
        intermediate_size=shape.hidden,
        max_position_embeddings=positions,
        rms_norm_eps=EPSILON,
        rope_theta=ROPE_BASE,
        tie_word_embeddings=True,
        attention_bias=False,
        eos_token_id=TOKENS.end,
        bos_token_id=None,
        pad_token_id=TOKENS.pad,
    )
    model = Qwen3ForCausalLM(config).float().eval()
    model.load_state_dict(state(shape, weights), strict=False)
    return model


def state(shape: Shape, weights: Weights) -> Weights:
    """Tensors by transformers' names."""
    inner, keys = shape.heads * shape.head_width, shape.key_heads * shape.head_width
    named = {"model.embed_tokens.weight": weights["embedding"], "model.norm.weight": weights["norm_last"]}
    named["lm_head.weight"] = weights["embedding"]
    for layer in range(shape.layers):
        at = f"model.layers.{layer}."
        query, key, value = weights["qkv"][layer].split((inner, keys, keys), 1)
        gate, up = weights["gate_up"][layer].chunk(2, 1)
        named |= {
            at + "self_attn.q_proj.weight": query.T,
            at + "self_attn.k_proj.weight": key.T,
            at + "self_attn.v_proj.weight": value.T,
            at + "self_attn.o_proj.weight": weights["out"][layer].T,
            at + "self_attn.q_norm.weight": weights["norm_query"][layer],
            at + "self_attn.k_norm.weight": weights["norm_key"][layer],
            at + "mlp.gate_proj.weight": gate.T,
            at + "mlp.up_proj.weight": up.T,
            at + "mlp.down_proj.weight": weights["down"][layer].T,
            at + "input_layernorm.weight": weights["norm_attention"][layer],
            at + "post_attention_layernorm.weight": weights["norm_mlp"][layer],
        }
    return {name: value.detach().clone() for name, value in named.items()}


def lab_weights(shape: Shape, named: Weights) -> Weights:
    """What ``state`` was made from, in float32 and with an axis of a single run in front."""
    joined = {
        "qkv": [f"self_attn.{part}_proj" for part in "qkv"],
        "out": ["self_attn.o_proj"],
        "gate_up": ["mlp.gate_proj", "mlp.up_proj"],
        "down": ["mlp.down_proj"],
        "norm_attention": ["input_layernorm"],
        "norm_mlp": ["post_attention_layernorm"],
        "norm_query": ["self_attn.q_norm"],
        "norm_key": ["self_attn.k_norm"],
    }
    of_layer = lambda layer, part: turned(named[f"model.layers.{layer}.{part}.weight"])  # noqa: E731
    made = {
        name: torch.stack([torch.cat([of_layer(layer, part) for part in parts], -1) for layer in range(shape.layers)])
        for name, parts in joined.items()
    }
    made |= {"embedding": named["model.embed_tokens.weight"], "norm_last": named["model.norm.weight"]}
    return {name: value[None].float().contiguous() for name, value in made.items()}


def turned(weight: Tensor) -> Tensor:
    """Matrices are [out, in] in transformers and [in, out] in the lab."""
    return weight.T if weight.dim() == 2 else weight


def read_policy(shape: Shape, folder: Path) -> Weights:
    """A policy that a stage has published, as weights of the lab."""
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return lab_weights(shape, dict(model.state_dict()))
