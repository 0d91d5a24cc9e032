"""An ensemble of Qwen3-shaped models: every weight has a leading axis of runs, every product is one batched product.

Axes in this room: R runs, B or n sequences a run, T tokens, H query heads, K key heads, D head width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.lab.decoding import attend
from benchmarks.lab.gradients import EmbedRuns, ScaleRuns

Weights = dict[str, Tensor]
EPSILON = 1e-6
ROPE_BASE = 10000.0


@dataclass(frozen=True)
class Shape:
    """Sizes of one model. The defaults give 4.5 M parameters at a vocabulary of 64."""

    vocabulary: int
    width: int = 256
    layers: int = 6
    heads: int = 8
    key_heads: int = 2
    head_width: int = 32
    hidden: int = 768

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight of one model, without the axis of runs."""
        inner, both = self.heads * self.head_width, (self.heads + 2 * self.key_heads) * self.head_width
        return {
            "embedding": (self.vocabulary, self.width),
            "qkv": (self.layers, self.width, both),
            "out": (self.layers, inner, self.width),
            "gate_up": (self.layers, self.width, 2 * self.hidden),
            "down": (self.layers, self.hidden, self.width),
            "norm_attention": (self.layers, self.width),
            "norm_mlp": (self.layers, self.width),
            "norm_query": (self.layers, self.head_width),
            "norm_key": (self.layers, self.head_width),
            "norm_last": (self.width,),
        }

    def parameters(self) -> int:
        return sum(math.prod(size) for size in self.tensors().values())


def initial_weights(shape: Shape, seeds: list[int], device: torch.device) -> Weights:
    """Float32 weights of ``len(seeds)`` models. Norms start at 1, what writes to the residual stream starts smaller."""
    residual = 0.02 / math.sqrt(2 * shape.layers)
    spread = {"embedding": 0.05, "qkv": 0.02, "out": residual, "gate_up": 0.02, "down": residual}
    weights = {}
    for index, (name, size) in enumerate(shape.tensors().items()):
        if name.startswith("norm"):
            weights[name] = torch.ones(len(seeds), *size, device=device)
            continue
        draws = [torch.randn(size, generator=torch.Generator().manual_seed(seed * 131 + index)) for seed in seeds]
        weights[name] = (torch.stack(draws) * spread[name]).to(device)
    return weights


def repeat_run(weights: Weights, runs: int) -> Weights:
    """The first model of ``weights``, ``runs`` times."""
    return {name: value[:1].repeat(runs, *[1] * (value.dim() - 1)) for name, value in weights.items()}


def trainable(weights: Weights) -> Weights:
    return {name: value.detach().clone().requires_grad_(True) for name, value in weights.items()}


def compute_type(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def cast(weights: Weights, dtype: torch.dtype) -> Weights:
    return {name: value.to(dtype) for name, value in weights.items()}


def rotary_table(length: int, head_width: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines [length, head_width], both halves alike as in Qwen3."""
    frequency = 1.0 / ROPE_BASE ** (torch.arange(0, head_width, 2, device=device).float() / head_width)
    angle = torch.arange(length, device=device).float()[:, None] * frequency
    angle = torch.cat((angle, angle), -1)
    return angle.cos().to(dtype), angle.sin().to(dtype)


def add_and_norm(stream: Tensor, update: Tensor) -> tuple[Tensor, Tensor]:
    """The stream [R, m, width] after ``update``, and its RMS norm without a weight."""
    stream = stream + update
    return stream, F.rms_norm(stream, stream.shape[-1:], None, EPSILON)


def norm_heads(heads: Tensor) -> Tensor:
    """The RMS norm of each head without a weight."""
    return F.rms_norm(heads, heads.shape[-1:], None, EPSILON)


def rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Heads [R, n, T, H, D] turned by their position [T, D]."""
    half = heads.shape[-1] // 2
    turned = torch.cat((-heads[..., half:], heads[..., :half]), -1)
    return heads * cosine[:, None, :] + turned * sine[:, None, :]


def gated(both: Tensor) -> Tensor:
    gate, up = both.chunk(2, -1)
    return F.silu(gate) * up


@dataclass
class Pieces:
    """The elementwise pieces, plain or compiled: their fusion is where a small model's time goes."""

    add_and_norm: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = add_and_norm
    norm_heads: Callable[[Tensor], Tensor] = norm_heads
    rotate: Callable[[Tensor, Tensor, Tensor], Tensor] = rotate
    gated: Callable[[Tensor], Tensor] = gated


PIECES = Pieces()


def compile_pieces() -> None:
    """Fuse the elementwise pieces with torch.compile, for forward, backward and sampling."""
    torch._dynamo.config.cache_size_limit = 64
    PIECES.add_and_norm = torch.compile(add_and_norm, dynamic=True)
    PIECES.norm_heads = torch.compile(norm_heads, dynamic=True)
    PIECES.rotate = torch.compile(rotate, dynamic=True)
    PIECES.gated = torch.compile(gated, dynamic=True)


def add_and_scale(stream: Tensor, update: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The stream [R, m, width] after ``update``, and its RMS norm scaled by ``weight`` [R, width]."""
    stream, normed = PIECES.add_and_norm(stream, update)
    return stream, ScaleRuns.apply(normed, weight)


def norm_and_rotate(heads: Tensor, weight: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Heads [R, n, T, H, D] normed per head with ``weight`` [R, D] and turned by their position [T, D]."""
    normed = PIECES.norm_heads(heads)
    scaled = ScaleRuns.apply(normed.reshape(len(normed), -1, normed.shape[-1]), weight)
    return PIECES.rotate(scaled.view(normed.shape), cosine, sine)


def embed(weights: Weights, ids: Tensor) -> Tensor:
    """Rows of each run's own table: ids [R, ...] -> [R, ..., width]."""
    return EmbedRuns.apply(weights["embedding"], ids.flatten(1)).view(*ids.shape, -1)


def project_heads(
    shape: Shape, layer: Weights, normed: Tensor, rows: tuple[int, int, int], table: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Normed stream [R, n*T, width] -> queries [R*n, H, T, D], keys and values [R*n, K, T, D]."""
    runs, n, length = rows
    both = torch.bmm(normed, layer["qkv"]).view(runs, n, length, shape.heads + 2 * shape.key_heads, shape.head_width)
    query, key, value = both.split((shape.heads, shape.key_heads, shape.key_heads), 3)
    query = norm_and_rotate(query, layer["norm_query"], *table)
    key = norm_and_rotate(key, layer["norm_key"], *table)
    query, key, value = (x.reshape(runs * n, length, -1, shape.head_width).transpose(1, 2) for x in (query, key, value))
    return query, key, value


def layers(weights: Weights) -> list[Weights]:
    """Views of the weights, one dict a layer, each tensor [R, ...]."""
    stacked = {name: value.unbind(1) for name, value in weights.items() if name not in ("embedding", "norm_last")}
    return [dict(zip(stacked, group, strict=True)) for group in zip(*stacked.values(), strict=True)]


Cache = list[tuple[Tensor, Tensor]]


def hidden_states(
    shape: Shape, weights: Weights, ids: Tensor, table: tuple[Tensor, Tensor], cache: Cache | None
) -> Tensor:
    """Last normed states [R, n, T, width] of ids [R, n, T] under causal attention. Fills ``cache`` when given."""
    runs, n, length = ids.shape
    table = (table[0][:length], table[1][:length])
    stream = embed(weights, ids).view(runs, n * length, shape.width)
    update = torch.zeros_like(stream)
    repeats = shape.heads // shape.key_heads
    for index, layer in enumerate(layers(weights)):
        stream, normed = add_and_scale(stream, update, layer["norm_attention"])
        query, key, value = project_heads(shape, layer, normed, (runs, n, length), table)
        if cache is not None:
            cache[index][0][:, :, :length], cache[index][1][:, :, :length] = key, value
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        update = torch.bmm(mixed.transpose(1, 2).reshape(runs, n * length, -1), layer["out"])
        stream, normed = add_and_scale(stream, update, layer["norm_mlp"])
        update = torch.bmm(PIECES.gated(torch.bmm(normed, layer["gate_up"])), layer["down"])
    _, normed = add_and_scale(stream, update, weights["norm_last"])
    return normed.view(runs, n, length, shape.width)


def next_token_logits(
    shape: Shape, weights: Weights, ids: Tensor, table: tuple[Tensor, Tensor], first: int, cache: Cache | None = None
) -> Tensor:
    """Float32 logits [R, n, T - first + 1, V]: entry j predicts the token at position ``first`` + j."""
    states = hidden_states(shape, weights, ids, table, cache)[:, :, first - 1 :]
    runs, n, length, width = states.shape
    logits = torch.bmm(states.reshape(runs, n * length, width), weights["embedding"].transpose(1, 2))
    return logits.view(runs, n, length, shape.vocabulary).float()


def decode_logits(
    shape: Shape, weights: Weights, token: Tensor, at: Tensor, cache: Cache, visible: int, table: tuple[Tensor, Tensor]
) -> Tensor:
    """Logits [R, B, V] after ``token`` [R, B] at position ``at`` [1], reading the first ``visible`` cache places."""
    runs, n = token.shape
    here = (table[0].index_select(0, at), table[1].index_select(0, at))
    stream = embed(weights, token)
    update = torch.zeros_like(stream)
    group = shape.heads // shape.key_heads
    for layer, (keys, values) in zip(layers(weights), cache, strict=True):
        stream, normed = add_and_scale(stream, update, layer["norm_attention"])
        query, key, value = project_heads(shape, layer, normed, (runs, n, 1), here)
        keys.index_copy_(2, at, key)
        values.index_copy_(2, at, value)
        grouped = query.reshape(runs * n, shape.key_heads, group, shape.head_width)
        mixed = attend(grouped, keys, values, visible, at)
        update = torch.bmm(mixed.reshape(runs, n, -1), layer["out"])
        stream, normed = add_and_scale(stream, update, layer["norm_mlp"])
        update = torch.bmm(PIECES.gated(torch.bmm(normed, layer["gate_up"])), layer["down"])
    _, normed = add_and_scale(stream, update, weights["norm_last"])
    return torch.bmm(normed, weights["embedding"].transpose(1, 2)).float()
