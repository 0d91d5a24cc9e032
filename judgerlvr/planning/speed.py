"""Seconds of a step by phase: from the constants, corrected by what was measured on the user's cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from judgerlvr.config.cards import CARDS
from judgerlvr.config.choices import Recompute
from judgerlvr.planning import constants as c
from judgerlvr.planning.load import Load
from judgerlvr.planning.machine import Machine
from judgerlvr.planning.memory import ADAM, GIB, ROLLOUT, WEIGHTS, cache
from judgerlvr.planning.shapes import ModelShape

PHASES = ("sampling", "log_prob", "update", "sync")
# Bytes a parameter that FSDP moves for a micro-batch. Weights come in bfloat16, in the update twice, and gradients are
# reduced once in float32.
GATHERED_BY_LOG_PROB, GATHERED_BY_UPDATE = 2, 2 + 2 + 4
MICRO, TERA, GIGA, MILLI = 1e-6, 1e12, 1e9, 1e-3


@dataclass(frozen=True)
class Tokens:
    """Tokens of a step: means over the samples, and the longest response, which ends the sampling."""

    prompt: float
    response: float
    longest_response: float

    @property
    def sequence(self) -> float:
        return self.prompt + self.response


def full_length(load: Load) -> Tokens:
    """Every sample as long as the configuration allows: no step takes longer."""
    return Tokens(load.longest - load.response, load.response, load.response)


def step_seconds(
    shape: ModelShape, load: Load, machine: Machine, tokens: Tokens, factors: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Seconds of each of ``PHASES``. ``factors`` multiply them: measured over predicted, on the user's cards.

    Grading, validation and saving are not counted.
    """
    seconds = {
        "sampling": sampling_seconds(shape, load, machine, tokens),
        "log_prob": log_prob_seconds(shape, load, machine, tokens),
        "update": update_seconds(shape, load, machine, tokens),
        "sync": sync_seconds(shape, load, machine),
    }
    return {phase: value * (factors or {}).get(phase, 1.0) for phase, value in seconds.items()}


def sampling_seconds(shape: ModelShape, load: Load, machine: Machine, tokens: Tokens) -> float:
    """Steps of a rollout engine times what a step costs, and what each token adds."""
    running = at_once(shape, load, machine, tokens)
    generated = load.samples_per_engine * tokens.response
    steps = max(tokens.longest_response, generated / running)
    beside = load.samples_per_engine * prefill_seconds(shape, load, tokens)
    beside += generated * token_seconds(shape, load, machine, tokens)
    return steps * decode_step_seconds(shape, load, machine, running) + beside


def at_once(shape: ModelShape, load: Load, machine: Machine, tokens: Tokens) -> float:
    """Sequences that an engine runs at once. A sequence takes cache as it grows, so mean contexts count."""
    sequence = shape.kv_sequence_bytes(mean_context(tokens), load.tensor_parallel)
    held = cache(shape, load, machine.gpu).gib * GIB / sequence
    return max(1.0, min(held, load.samples_per_engine, load.slots))


def mean_context(tokens: Tokens) -> int:
    """Tokens that a running sequence has in the cache, on average over its response."""
    return max(1, int(tokens.prompt + tokens.response / 2))


def decode_step_seconds(shape: ModelShape, load: Load, machine: Machine, running: float) -> float:
    """Seconds of an engine's step that do not grow with a sequence's length: the weights are read once."""
    read = _read_bytes(shape, load, running) / (machine.gpu.bandwidth_tb_s * TERA)
    return c.DECODE_STEP_MS.value * MILLI + read


def token_seconds(shape: ModelShape, load: Load, machine: Machine, tokens: Tokens) -> float:
    """Seconds that a generated token adds to its step: keys and values of a mean context, and products."""
    context = mean_context(tokens)
    cached = shape.kv_sequence_bytes(context, load.tensor_parallel) / (machine.gpu.bandwidth_tb_s * TERA)
    return cached + _multiplied(shape, load)


def prefill_seconds(shape: ModelShape, load: Load, tokens: Tokens) -> float:
    """Seconds of a sample's share of its prompt."""
    # Prompts pass once for each group: the cache of common prefixes holds the prompts for the other samples.
    return tokens.prompt / load.samples_per_prompt * _multiplied(shape, load)


def _multiplied(shape: ModelShape, load: Load) -> float:
    """Seconds of a token's products on a card of an engine."""
    flops = 2 * (shape.active_in_layers + shape.embedding) / load.tensor_parallel
    return flops / (c.DECODE_TFLOPS.value * TERA)


def _read_bytes(shape: ModelShape, load: Load, sequences: float) -> float:
    """Bytes of weights that a step reads on a card: of the experts, the experts that sequences use."""
    experts = sum(layer.experts for layer in shape.layers)
    share = min(1.0, sequences * sum(layer.used for layer in shape.layers) / experts) if experts else 0.0
    others = shape.parameters - experts
    return ROLLOUT * (others + share * experts) / load.tensor_parallel


def log_prob_seconds(shape: ModelShape, load: Load, machine: Machine, tokens: Tokens) -> float:
    """A forward pass over every token of the step."""
    head = 2 * shape.embedding / (c.HEAD_FORWARD_TFLOPS.value * TERA)
    dense = dense_tflops(c.DENSE_FORWARD_TFLOPS, shape.hidden)
    layers = _layers_seconds(shape, 2, dense, c.MIXTURE_FORWARD_TFLOPS.value)
    token = head + layers + _attention_seconds(shape, tokens, 1)
    seconds = _per_rank(load, tokens) * (token * _slower(machine) + c.LOG_PROB_OVERHEAD_US.value * MICRO)
    moved = WEIGHTS * shape.parameters / load.ranks if load.offload else 0
    return max(seconds, _gathers(shape, load, machine, tokens, GATHERED_BY_LOG_PROB)) + moved / (
        c.PCIE_GB_S.value * GIGA
    )


def update_seconds(shape: ModelShape, load: Load, machine: Machine, tokens: Tokens) -> float:
    """Forward, backward, and what is computed again: three or four forward passes' operations."""
    layer_passes = 3 if load.recompute is Recompute.none else 4
    # Only `all` computes the attention again.
    attention_passes = 4 if load.recompute is Recompute.all else 3
    head = 6 * shape.embedding / (c.HEAD_UPDATE_TFLOPS.value * TERA)
    dense = dense_tflops(c.DENSE_UPDATE_TFLOPS, shape.hidden)
    layers = _layers_seconds(shape, 2 * layer_passes, dense, c.MIXTURE_UPDATE_TFLOPS.value)
    token = head + layers + _attention_seconds(shape, tokens, attention_passes)
    seconds = _per_rank(load, tokens) * (token * _slower(machine) + c.UPDATE_OVERHEAD_US.value * MICRO)
    # Weights come in and go out; Adam's moments do as well.
    moved = 2 * (WEIGHTS + ADAM) * shape.parameters / load.ranks if load.offload else 0
    return max(seconds, _gathers(shape, load, machine, tokens, GATHERED_BY_UPDATE)) + moved / (c.PCIE_GB_S.value * GIGA)


def sync_seconds(shape: ModelShape, load: Load, machine: Machine) -> float:
    """Weights from the trainer's shards into the rollout engines, which may be on other machines."""
    rate = min(c.SYNC_GB_S.value, link_gb_s(load, machine)) if load.separate else c.SYNC_GB_S.value
    return ROLLOUT * shape.parameters / (rate * GIGA)


def _per_rank(load: Load, tokens: Tokens) -> float:
    return load.samples * tokens.sequence / load.ranks


def _slower(machine: Machine) -> float:
    """How much longer the card multiplies than the card of the constants."""
    return CARDS[c.MEASURED_ON].bf16_tflops / machine.gpu.bf16_tflops


def dense_tflops(rates: Mapping[int, c.Constant], hidden: int) -> float:
    """TFLOP/s of dense layers of ``hidden`` size: linear between two measured sizes, and flat outside of them."""
    (narrow, slow), (wide, fast) = sorted((size, rate.value) for size, rate in rates.items())
    share = min(1.0, max(0.0, (hidden - narrow) / (wide - narrow)))
    return slow + share * (fast - slow)


def _layers_seconds(shape: ModelShape, operations: int, dense: float, mixture: float) -> float:
    """Seconds of a token in all layers, at ``operations`` for each parameter that the token passes."""
    rates = ((layer.active, mixture if layer.experts else dense) for layer in shape.layers)
    return sum(operations * active / (rate * TERA) for active, rate in rates)


def _attention_seconds(shape: ModelShape, tokens: Tokens, passes: int) -> float:
    """Attention of a token over half of the sequence on average; window layers see no more than the window."""
    seen = sum(tokens.sequence / 2 if layer.full else min(tokens.sequence / 2, shape.window) for layer in shape.layers)
    return passes * 4 * shape.heads * shape.head_dim * seen / (c.ATTENTION_TFLOPS.value * TERA)


def _gathers(shape: ModelShape, load: Load, machine: Machine, tokens: Tokens, bytes_a_parameter: int) -> float:
    """Seconds in which FSDP moves every parameter once for each micro-batch; computing hides the shorter of the two."""
    moved = gathered_bytes(shape, load, tokens, bytes_a_parameter)
    return moved / (link_gb_s(load, machine) * GIGA)


def gathered_bytes(
    shape: ModelShape, load: Load, tokens: Tokens, bytes_a_parameter: int = GATHERED_BY_LOG_PROB + GATHERED_BY_UPDATE
) -> float:
    """Bytes that a card receives in a step's passes. A single rank holds every parameter and gathers nothing."""
    passes = -(-_per_rank(load, tokens) // load.micro_batch)
    return passes * bytes_a_parameter * shape.parameters * (load.ranks - 1) / load.ranks


def link_gb_s(load: Load, machine: Machine) -> float:
    """What a card's gathers reach on the slowest link between the ranks."""
    return c.NVLINK_GB_S.value if load.nodes == 1 else machine.network_gb_s * c.NETWORK_SHARE.value
