"""GiB on a GPU by phase of a step, and how many full sequences the KV cache of a rollout engine holds."""

from __future__ import annotations

from dataclasses import dataclass

from judgerlvr.config.cards import Card
from judgerlvr.config.choices import Recompute
from judgerlvr.config.sourced import Constant
from judgerlvr.hysparse.ops.kernel_shapes import prefill_reserve
from judgerlvr.planning.activations import forward_bytes, kept_bytes, saved_bytes, scratch_bytes, update_bytes
from judgerlvr.planning.constants import (
    FRAGMENTATION,
    HEAD_FORWARD_BYTES,
    HEAD_LOGITS,
    HEAD_PLAIN_BYTES,
    HEAD_UPDATE_BYTES,
    OUTSIDE_GIB,
    VLLM_GIB,
)
from judgerlvr.planning.load import Load
from judgerlvr.planning.machine import GIB
from judgerlvr.planning.shapes import HYSPARSE, ModelShape

# Bytes a parameter: float32 weights, gradients, two AdamW moments; the rollout's copy is bfloat16.
WEIGHTS, GRADIENTS, ADAM, ROLLOUT = 4, 4, 8, 2
# Bytes a parameter of a layer in the backward pass. bfloat16 weights of the layer and of the next one, its
# gradients, and the float32 copy that is reduced.
LAYER_IN_BACKWARD = 2 + 2 + 2 + 4
HEAD_IN_BACKWARD = 2 + 2 + 4
# verl's buffer through which weights reach the rollout (rollout.checkpoint_engine.update_weights_bucket_megabytes).
BUCKET_GIB = 2.0
# Such buffers that verl's engine over NCCL holds. A receiver hands the weights to vLLM through another.
SENT_BUCKETS, RECEIVED_BUCKETS = 2, 3
# The final norm and the head keep and differentiate the last hidden states.
HEAD_TOKEN = 14


@dataclass(frozen=True)
class Phase:
    """``parts`` in GiB by what takes memory; ``trainer`` is the part that torch's allocator in the trainer counts."""

    name: str
    parts: dict[str, float]
    trainer: float

    @property
    def gib(self) -> float:
        return sum(self.parts.values())


@dataclass(frozen=True)
class Cache:
    """KV cache of a rollout engine. ``sequences`` of full length fit, of ``wanted`` in a step, in ``slots`` at most.

    vLLM starts where a sequence of the engine's context fits, which takes ``least`` GiB.
    """

    gib: float
    tokens: int
    sequences: float
    wanted: int
    slots: int
    least: float

    @property
    def at_once(self) -> float:
        return min(self.sequences, self.slots)

    @property
    def starts(self) -> bool:
        return self.sequences >= 1 and self.gib >= self.least


def phases(shape: ModelShape, load: Load, card: Card) -> list[Phase]:
    """The phases of a step in order, each with everything that lies on the card.

    With GPUs of the rollout alone the first phase and the last one are on these, and the others on the trainer's.
    """
    if load.separate:
        trainer = [_log_prob(shape, load, card), _update(shape, load, card), _sent(shape, load, card)]
        return [_rollout(shape, load, card), *trainer, _received(shape, load, card)]
    return [
        _rollout(shape, load, card),
        _log_prob(shape, load, card),
        _update(shape, load, card),
        _sync(shape, load, card),
    ]


def trainer_peak(shape: ModelShape, load: Load, card: Card) -> float:
    """GiB that torch's allocator counts at most in a trainer process: verl's ``perf/max_memory_allocated_gb``."""
    return max(phase.trainer for phase in phases(shape, load, card))


def cache(shape: ModelShape, load: Load, card: Card) -> Cache:
    """What the rollout engine has for keys and values: bytes that were asked for, or the rest of its share."""
    beside = _beside_cache(shape, load)
    gib = load.kv_cache_bytes / GIB if load.kv_cache_bytes else load.rollout_share * card.memory_gib - beside
    sequence = shape.kv_sequence_bytes(load.longest, load.tensor_parallel) / GIB
    sequences = max(0.0, gib / sequence)
    least = shape.kv_sequence_bytes(max(load.longest, load.engine_context), load.tensor_parallel) / GIB
    return Cache(gib, int(sequences * load.longest), sequences, load.samples_per_engine, load.slots, least)


def engine_gib(shape: ModelShape, load: Load, card: Card) -> float:
    """GiB of a card that the rollout engine takes. vLLM leaves the share aside where bytes were asked for."""
    asked = _beside_cache(shape, load) + load.kv_cache_bytes / GIB
    return asked if load.kv_cache_bytes else load.rollout_share * card.memory_gib


def most_cache_bytes(shape: ModelShape, load: Load, card: Card) -> int:
    """Largest cache that fits beside the engine's weights and what the trainer leaves on the card."""
    trainer = 0.0 if load.separate else resident(shape, load)
    beside = _beside_cache(shape, load) + trainer + OUTSIDE_GIB.value
    return int((card.memory_gib * (1 - FRAGMENTATION.value) - beside) * GIB)


def _beside_cache(shape: ModelShape, load: Load) -> float:
    """GiB of an engine's weights, of vLLM itself, and of HySparse's prefill."""
    heads = max(1, shape.kv_heads // load.tensor_parallel)
    chooses = shape.model_type == HYSPARSE and shape.blocks
    prefill = prefill_reserve(load.longest, heads, shape.head_dim) if chooses else 0
    return _rollout_weights(shape, load) + VLLM_GIB.value + prefill / GIB


def resident(shape: ModelShape, load: Load) -> float:
    """GiB of the trainer that stay on its cards between updates."""
    return 0.0 if load.offload else (WEIGHTS + ADAM) * shape.parameters / load.ranks / GIB


def _around(card: Card) -> dict[str, float]:
    return {"outside torch": OUTSIDE_GIB.value, "fragmentation": FRAGMENTATION.value * card.memory_gib}


def _phase(name: str, trainer: dict[str, float], beside: dict[str, float], card: Card) -> Phase:
    return Phase(name, {**trainer, **beside, **_around(card)}, sum(trainer.values()))


def _rollout(shape: ModelShape, load: Load, card: Card) -> Phase:
    if load.separate:
        parts = {"rollout engine": engine_gib(shape, load, card), "outside torch": OUTSIDE_GIB.value}
        return Phase("rollout", parts, 0.0)
    trainer = {"trainer's weights and Adam": resident(shape, load)}
    parts = {**trainer, "rollout engine": engine_gib(shape, load, card), "outside torch": OUTSIDE_GIB.value}
    return Phase("rollout", parts, trainer["trainer's weights and Adam"])


def _log_prob(shape: ModelShape, load: Load, card: Card) -> Phase:
    # A pass without gradients needs the weights, and offloaded moments stay on the host.
    kept = WEIGHTS if load.offload else WEIGHTS + ADAM
    layer = 2 * shape.largest_layer + load.micro_batch * forward_bytes(shape)
    layer += scratch_bytes(shape, load.micro_batch, grad=False)
    head = 2 * shape.embedding + load.micro_batch * HEAD_TOKEN * shape.hidden
    trainer = {
        "states": kept * shape.parameters / load.ranks / GIB,
        "one layer or the head": max(layer, head + _logits_bytes(shape, load, HEAD_FORWARD_BYTES)) / GIB,
    }
    return _phase("log-prob", trainer, {}, card)


def _update(shape: ModelShape, load: Load, card: Card) -> Phase:
    # Without recomputing, what a layer saves is among what is kept.
    layer_token = update_bytes(shape, load.compile)
    if load.recompute is Recompute.none:
        layer_token -= saved_bytes(shape, load.compile)
    layer = LAYER_IN_BACKWARD * shape.largest_layer + load.micro_batch * layer_token
    layer += scratch_bytes(shape, load.micro_batch, grad=True)
    head = HEAD_IN_BACKWARD * shape.embedding + load.micro_batch * HEAD_TOKEN * shape.hidden
    # A tied head lies in FSDP's root, which stays gathered through both passes.
    root = (2 + 2) * shape.embedding if shape.tied else 0
    trainer = {
        "states": (WEIGHTS + GRADIENTS + ADAM) * shape.parameters / load.ranks / GIB,
        "kept activations": load.micro_batch * kept_bytes(shape, load.recompute, load.compile) / GIB,
        "one layer or the head": (max(layer, head + _logits_bytes(shape, load, HEAD_UPDATE_BYTES)) + root) / GIB,
    }
    return _phase("update", trainer, {}, card)


def _sync(shape: ModelShape, load: Load, card: Card) -> Phase:
    rollout = {"rollout's weights": _rollout_weights(shape, load), "bucket": BUCKET_GIB}
    return _phase("weights into the rollout", _gathered(shape, load), rollout, card)


def _sent(shape: ModelShape, load: Load, card: Card) -> Phase:
    # cupy's memory, which torch's allocator does not count.
    return _phase("weights sent", _gathered(shape, load), {"buckets": SENT_BUCKETS * BUCKET_GIB}, card)


def _received(shape: ModelShape, load: Load, card: Card) -> Phase:
    """On a card of the rollout, whose cache is given back meanwhile."""
    parts = {"rollout's weights": _rollout_weights(shape, load), "vLLM": VLLM_GIB.value}
    return _phase("weights received", {}, parts | {"buckets": RECEIVED_BUCKETS * BUCKET_GIB}, card)


def _rollout_weights(shape: ModelShape, load: Load) -> float:
    return ROLLOUT * shape.parameters / load.tensor_parallel / GIB


def _gathered(shape: ModelShape, load: Load) -> dict[str, float]:
    # One tensor at a time is gathered in float32, beside a copy in the rollout's dtype.
    largest = max(shape.embedding, *(layer.experts * 2 // 3 for layer in shape.layers))
    return {"trainer's weights and Adam": resident(shape, load), "largest tensor": (4 + 2) * largest / GIB}


def _logits_bytes(shape: ModelShape, load: Load, compiled: Constant) -> float:
    """Bytes of the logits that exist at once, a chunk of tokens, and of what is made of the logits."""
    logits = min(HEAD_LOGITS, load.micro_batch * shape.vocabulary)
    return logits * (compiled.value + (0 if load.compile else HEAD_PLAIN_BYTES.value))
