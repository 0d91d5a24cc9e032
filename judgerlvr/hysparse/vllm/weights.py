"""Checkpoint tensors in the form of vLLM's Qwen3-MoE loader: experts one by one, a tied head and projections by
name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor

from judgerlvr.hysparse.model.layout import LayerRow

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
# Projections of a layer whose keys and values are not made of its own input, and their names in checkpoints.
APART = QUERY, KEY, VALUE = "query", "key", "value"
CHECKPOINTS = {
    f".self_attn.{short}_proj.": f".self_attn.apart.{name}." for short, name in zip("qkv", APART, strict=True)
}
GATE_UP, DOWN = ".mlp.experts.gate_up_proj", ".mlp.experts.down_proj"


def split_experts(weights: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Fused expert tensors, as transformers saves them, split by expert. Other tensors, as verl sends them, are
    unchanged.

    ``gate_up_proj`` is [experts, 2 * inner, hidden], ``down_proj`` [experts, hidden, inner].
    """
    for name, tensor in weights:
        if name.endswith(GATE_UP):
            base = name.removesuffix(".gate_up_proj")
            for expert, fused in enumerate(tensor):
                gate, up = fused.chunk(2, dim=0)
                yield f"{base}.{expert}.gate_proj.weight", gate
                yield f"{base}.{expert}.up_proj.weight", up
        elif name.endswith(DOWN):
            base = name.removesuffix(".down_proj")
            for expert, down in enumerate(tensor):
                yield f"{base}.{expert}.down_proj.weight", down
        else:
            yield name, tensor


def head_from_embedding(weights: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """The head of a tied model beside its embedding, even if the head is sent too.

    Checkpoints lack the head, and trainers send it. On a CPU, vLLM repacks the head's own copy in a weight update.
    """
    for name, tensor in weights:
        if name == HEAD:
            continue
        yield name, tensor
        if name == EMBEDDING:
            yield HEAD, tensor


def apart(weights: Iterable[tuple[str, Tensor]], rows: Sequence[LayerRow]) -> Iterator[tuple[str, Tensor]]:
    """Projections of queries, keys and values under names that vLLM's loader does not stack, where a layer of ``rows``
    has them apart.
    """
    layers = {f"model.layers.{row.layer}." for row in rows if row.projects != row.layer}
    for name, tensor in weights:
        short = next((part for part in CHECKPOINTS if part in name), None)
        if short is not None and name.split("self_attn")[0] in layers:
            name = name.replace(short, CHECKPOINTS[short])
        yield name, tensor
