"""Settings that fit: the largest rollout share and micro-batch, and what to change where a stage does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import floor

from judgerlvr.config.cards import Card
from judgerlvr.planning.constants import FRAGMENTATION, OUTSIDE_GIB
from judgerlvr.planning.load import Load
from judgerlvr.planning.memory import cache, most_cache_bytes, phases, resident
from judgerlvr.planning.rollout_arguments import CACHE, SHARE
from judgerlvr.planning.shapes import ModelShape

# vLLM asks for no more: what is left covers allocations outside vLLM's own accounting.
MOST_SHARE = 0.9
# Larger micro-batches save gathers, and 64 k tokens a card hide the gathers already.
MOST_TOKENS = 65_536
STEP_TOKENS = 1024
MOST_RANKS = 1024


def rollout_share(shape: ModelShape, load: Load, card: Card) -> float:
    """Largest share of the card, in hundredths, that fits beside what the trainer leaves there."""
    trainer = 0.0 if load.separate else resident(shape, load)
    free = card.memory_gib * (1 - FRAGMENTATION.value) - OUTSIDE_GIB.value - trainer
    return max(0.0, min(MOST_SHARE, floor(100 * free / card.memory_gib) / 100))


def micro_batch_tokens(shape: ModelShape, load: Load, card: Card) -> int:
    """Most tokens of a forward pass that fit, a multiple of 1,024; 0 where not even a single sequence fits."""
    least = -(-load.longest // STEP_TOKENS) * STEP_TOKENS
    fitting = (
        tokens
        for tokens in range(max(MOST_TOKENS, least), least - 1, -STEP_TOKENS)
        if _trains(shape, replace(load, micro_batch_tokens=tokens), card)
    )
    return next(fitting, 0)


def fits(shape: ModelShape, load: Load, card: Card) -> bool:
    """Every phase lies within the card, and the cache holds at least a full sequence."""
    within = all(phase.gib <= card.memory_gib for phase in phases(shape, load, card))
    return within and cache(shape, load, card).starts


def change(shape: ModelShape, load: Load, card: Card) -> str:
    """The least change of the cluster's keys under which the stage fits, as ``key=value``; empty: none was found."""
    for candidate in _candidates(load):
        tokens = min(candidate.micro_batch_tokens, micro_batch_tokens(shape, candidate, card))
        most = rollout_share(shape, candidate, card)
        asked = min(candidate.kv_cache_bytes, max(1, most_cache_bytes(shape, candidate, card)))
        # The share that the user gave is kept where the share fits.
        for share in (min(load.rollout_share, most), most):
            tried = replace(candidate, micro_batch_tokens=tokens, rollout_share=share, kv_cache_bytes=asked)
            # A sequence is never split, so a micro-batch must hold the longest.
            if tokens >= load.longest and fits(shape, tried, card):
                return _differences(load, tried)
    return ""


def _trains(shape: ModelShape, load: Load, card: Card) -> bool:
    training = [phase for phase in phases(shape, load, card) if phase.name in ("log-prob", "update")]
    return all(phase.gib <= card.memory_gib for phase in training)


def _candidates(load: Load) -> Iterator[Load]:
    """Same GPUs first, then offload, then wider engines, then twice the GPUs again and again."""
    while load.ranks <= MOST_RANKS:
        for offload in (load.offload, True):
            size = load.tensor_parallel
            while size <= load.rollout_per_node:
                if not load.separate or _placed(load, size):
                    yield replace(load, offload=offload, tensor_parallel=size)
                size *= 2
        load = _twice(load)


def _placed(load: Load, size: int) -> bool:
    """Whether engines of ``size`` GPUs fill the rollout's, and leave no gap beside the trainer's."""
    return load.rollout_per_node % size == 0 and (load.nodes == 1 or load.gpus_per_node % size == 0)


def _twice(load: Load) -> Load:
    """A machine is filled before another is asked for."""
    filled = 2 * load.all_per_node > 8 if load.separate else load.gpus_per_node >= 8
    if filled:
        return replace(load, nodes=load.nodes * 2)
    return replace(load, gpus_per_node=load.gpus_per_node * 2, rollout_gpus_per_node=load.rollout_gpus_per_node * 2)


KEYS = {
    "nodes": "cluster.nodes",
    "gpus_per_node": "cluster.gpus_per_node",
    "rollout_gpus_per_node": "cluster.rollout_gpus_per_node",
    "tensor_parallel": "cluster.tensor_parallel",
    "offload": "cluster.offload",
    "rollout_share": SHARE,
    "kv_cache_bytes": CACHE,
    "micro_batch_tokens": "cluster.micro_batch_tokens",
}


def key_of(name: str, load: Load) -> str:
    """The configuration key that gave a field of the load."""
    return load.share_key if name == "rollout_share" else KEYS[name]


def _differences(before: Load, after: Load) -> str:
    changed = [name for name in KEYS if getattr(before, name) != getattr(after, name)]
    return " ".join(f"{key_of(name, after)}={str(getattr(after, name)).lower()}" for name in changed)
