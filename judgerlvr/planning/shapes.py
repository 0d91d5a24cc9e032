"""The shape of a policy from config.json: parameters by part, and how many bytes a token keeps in the KV cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgerlvr.engine.rollout_experts.sizes import sample_bytes
from judgerlvr.hysparse.model.layout import FULL, beyond_kernels, serves_sparse
from judgerlvr.hysparse.replay.carried_sizes import CarriedSizes
from rewards.errors import InputError

KNOWN = DENSE, MIXTURE, HYSPARSE = "qwen3", "qwen3_moe", "hysparse"
BFLOAT16 = 2
# Fields that transformers leaves out of config.json where a field has the default.
ABSENT = {
    "attention_bias": False,
    "tie_word_embeddings": False,
    "decoder_sparse_step": 1,
    "mlp_only_layers": (),
    "branches": "both",
    "gates": "element",
    "gate_bias": False,
    "gate_full": False,
    "sinks": True,
    "sinks_full": False,
    "qk_norm": False,
    "select_block": 64,
    "select_tokens": 1024,
    "sliding_window": 128,
}


@dataclass(frozen=True)
class Layer:
    """Parameters of a decoder layer. ``experts`` counts all experts, ``used`` the experts that a token passes.

    ``full``: the layer keeps the keys and values of every token.
    """

    attention: int
    feed_forward: int
    experts: int
    used: int
    norms: int
    full: bool

    @property
    def parameters(self) -> int:
        return self.attention + self.feed_forward + self.experts + self.norms

    @property
    def active(self) -> int:
        return self.attention + self.feed_forward + self.used


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a dense Qwen3, a Qwen3-MoE or a HySparse policy. ``experts`` of a layer and ``top_k`` are 0 for dense.

    ``expert_width`` is the hidden size of an expert, ``width`` the hidden size of a dense layer.
    ``blocks`` is how many blocks of together ``selected`` tokens a selecting layer names for each KV head,
    ``selecting`` how many layers select.
    """

    model_type: str
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    width: int
    expert_width: int
    top_k: int
    experts: int
    vocabulary: int
    tied: bool
    window: int
    blocks: int
    selected: int
    selecting: int
    context: int
    layers: tuple[Layer, ...]

    @property
    def embedding(self) -> int:
        """Elements of the embedding, and of the head as well."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        # A tied head shares the embedding. The last summand is the final norm.
        return sum(layer.parameters for layer in self.layers) + self.embedding * (1 if self.tied else 2) + self.hidden

    @property
    def active_in_layers(self) -> int:
        """Parameters that a token passes between embedding and head."""
        return sum(layer.active for layer in self.layers)

    @property
    def largest_layer(self) -> int:
        return max(layer.parameters for layer in self.layers)

    @property
    def mixture_layers(self) -> int:
        return sum(layer.experts > 0 for layer in self.layers)

    def kv_token_bytes(self, tensor_parallel: int) -> int:
        """Bytes of keys and values that a token adds in a layer on a GPU of a rollout engine.

        Engines with more GPUs than KV heads copy heads instead of splitting them.
        """
        return 2 * max(1, self.kv_heads // tensor_parallel) * self.head_dim * BFLOAT16

    def kv_sequence_bytes(self, tokens: int, tensor_parallel: int) -> int:
        """Bytes of KV cache that a sequence of ``tokens`` holds on a GPU. Window layers hold their window only."""
        held = sum(tokens if layer.full else min(tokens, self.window) for layer in self.layers)
        return held * self.kv_token_bytes(tensor_parallel)

    def replay_bytes(self, tokens: int, experts: bool = False) -> int:
        """Bytes of replayed choices that a sample of ``tokens`` carries from the rollout to the trainer.

        ``experts``: router replay of a plain mixture (``model.replay_experts``).
        """
        if self.model_type != HYSPARSE:
            return sample_bytes(tokens, len(self.layers), self.top_k, self.experts) if experts else 0
        sizes = CarriedSizes(
            blocks=self.selecting * self.kv_heads * self.blocks,
            experts=self.mixture_layers * self.top_k,
            uncrowded=self.selected,
        )
        return sizes.bytes(tokens)


def read_shape(directory: Path) -> ModelShape:
    """Shape of the policy in ``directory``.

    Raises:
        InputError: no config.json, or an architecture that the planner does not know.
    """
    path = directory / "config.json"
    if not path.is_file():
        raise InputError("no model here (config.json is missing)", "give a transformers checkpoint", file=directory)
    return shape_of(json.loads(path.read_text(encoding="utf-8")), str(path))


def known_shape(directory: Path) -> ModelShape | None:
    """The policy's shape, None for an architecture that the planner does not know."""
    fields = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    known = fields.get("model_type") in KNOWN and not _second(fields)
    return read_shape(directory) if known else None


def shape_of(fields: Mapping[str, Any], source: str = "config.json") -> ModelShape:
    """Shape from the fields of a config.json.

    Raises:
        InputError: an architecture that the planner does not know, HySparse2 among them, or a field is missing.
    """
    kind = fields.get("model_type")
    if _second(fields):
        remedy = "give a HySparse or Qwen3 model, or run a stage of this one on a CPU without a plan"
        raise InputError("the planner does not know layers of HySparse2", remedy, file=source, field=_second(fields)[0])
    if kind not in KNOWN:
        remedy = f"give a policy of type {DENSE}, {MIXTURE} or {HYSPARSE}"
        raise InputError(f"the planner does not know models of type {kind!r}", remedy, file=source)
    try:
        return _shape({**ABSENT, "head_dim": 128, **fields})
    except KeyError as error:
        raise InputError(f"{error.args[0]} is missing", "download the checkpoint again", file=source) from error


def _second(fields: Mapping[str, Any]) -> list[str]:
    """Fields that ask for HySparse2."""
    return beyond_kernels(fields) if fields.get("model_type") == HYSPARSE else []


def _shape(c: dict[str, Any]) -> ModelShape:
    kinds = _layer_kinds(c)
    experts = _experts(c)
    chooses = c["model_type"] == HYSPARSE and c["branches"] != "window"
    return ModelShape(
        model_type=c["model_type"],
        hidden=c["hidden_size"],
        heads=c["num_attention_heads"],
        kv_heads=c["num_key_value_heads"],
        head_dim=c["head_dim"],
        width=c["intermediate_size"],
        expert_width=c["moe_intermediate_size"] if experts else 0,
        top_k=c["num_experts_per_tok"] if experts else 0,
        experts=experts,
        vocabulary=c["vocab_size"],
        tied=c["tie_word_embeddings"],
        # Qwen3 writes null where there is no window.
        window=c["sliding_window"] or 0,
        blocks=c["select_tokens"] // c["select_block"],
        selected=c["select_tokens"],
        selecting=sum(serves_sparse(kinds, layer) for layer in range(len(kinds))) if chooses else 0,
        context=c["max_position_embeddings"],
        layers=tuple(_layer(c, index, kind == FULL, experts) for index, kind in enumerate(kinds)),
    )


def _layer_kinds(c: dict[str, Any]) -> list[str]:
    """Kinds of the layers. Only HySparse names windows: Qwen3's own windows are not used in training."""
    return list(c["layer_types"]) if c["model_type"] == HYSPARSE else [FULL] * c["num_hidden_layers"]


def _experts(c: dict[str, Any]) -> int:
    """Experts of a layer. transformers 5 writes ``num_local_experts``, published checkpoints ``num_experts``."""
    if c["model_type"] == DENSE:
        return 0
    return int(c.get("num_experts", c.get("num_local_experts", 0)) or 0)


def _layer(c: dict[str, Any], index: int, full: bool, experts: int) -> Layer:
    mixture = experts > 0 and index not in (c["mlp_only_layers"] or ()) and (index + 1) % c["decoder_sparse_step"] == 0
    expert = 3 * c["hidden_size"] * c["moe_intermediate_size"] if mixture else 0
    router = experts * c["hidden_size"] if mixture else 0
    attention = _hysparse_attention(c, full) if c["model_type"] == HYSPARSE else _attention(c, True, True)
    return Layer(
        attention=attention,
        feed_forward=router if mixture else 3 * c["hidden_size"] * c["intermediate_size"],
        experts=experts * expert,
        used=c["num_experts_per_tok"] * expert if mixture else 0,
        norms=2 * c["hidden_size"],
        full=full,
    )


def _attention(c: dict[str, Any], own_keys: bool, normed: bool) -> int:
    """Projections with their biases, and the norms of queries and keys."""
    width, kv_width = (n * c["head_dim"] for n in (c["num_attention_heads"], c["num_key_value_heads"]))
    outputs = width + (2 * kv_width if own_keys else 0)
    weights = c["hidden_size"] * (outputs + width)
    biases = outputs + c["hidden_size"] if c["attention_bias"] else 0
    return weights + biases + (c["head_dim"] * (2 if own_keys else 1) if normed else 0)


def _hysparse_attention(c: dict[str, Any], full: bool) -> int:
    has_sparse, has_window = c["branches"] != "window", c["branches"] != "sparse"
    gate_width = c["num_attention_heads"] * (c["head_dim"] if c["gates"] == "element" else 1)
    gate = c["hidden_size"] * gate_width + (gate_width if c["gate_bias"] else 0)
    if full:
        sinks = c["num_attention_heads"] * bool(c["sinks_full"])
        return _attention(c, True, c["qk_norm"]) + gate * bool(c["gate_full"]) + sinks
    branches = has_sparse + has_window
    gates = gate * branches if c["gates"] != "none" else 0
    sinks = c["num_attention_heads"] * branches * bool(c["sinks"])
    return _attention(c, has_window, c["qk_norm"]) + gates + sinks
