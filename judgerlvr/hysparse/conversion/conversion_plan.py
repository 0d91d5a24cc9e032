"""Seconds and GPU memory of a search of full layers and of a distillation, before a weight is read.

Everything is calculated from the shape by the constants of ``conversion_rates``. Reading weights, starting Python and
compiling kernels are not counted, because a second run on the same machine does without most of this time.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import product

import torch

from judgerlvr.config.cards import CARDS
from judgerlvr.hysparse.conversion import conversion_rates as rates
from judgerlvr.hysparse.conversion.layer_work import TERA, Speeds, elements, layer_seconds, multiplied, saved_bytes
from judgerlvr.hysparse.conversion.placements import batches_of, layer_runs
from judgerlvr.hysparse.conversion.texts import IGNORED, Packed
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.layout import FULL, SPARSE
from judgerlvr.hysparse.model.sizes import count_parameters
from judgerlvr.hysparse.ops.kernel_shapes import sparse_scratch
from rewards.errors import InputError

GIB = 2**30
LEFT_OUT = "without start, reading and compiling"


@dataclass(frozen=True)
class Spending:
    """``gib`` is the peak of torch's allocator on the GPU."""

    seconds: float
    gib: float


@dataclass(frozen=True)
class Pass:
    """Rows of a pass, tokens a row, and how many tokens of the pass are learnt."""

    rows: int
    length: int
    learnt: float

    @property
    def tokens(self) -> int:
        return self.rows * self.length


@dataclass(frozen=True)
class Distilling:
    """``passes`` a step, ``evaluations`` of ``heldout`` passes each, and ``checkpoints`` that are written."""

    steps: int
    passes: int
    evaluations: int
    heldout: int
    checkpoints: int
    recompute: bool


def card_for(wanted: str | None) -> str:
    """``wanted``, or this machine's card where the data sheets name it, or the card of the constants."""
    name = torch.cuda.get_device_name().lower() if torch.cuda.is_available() else ""
    return wanted or next((card for card in CARDS if card in name.split()), rates.DEFAULT_CARD)


def check_card(options: argparse.Namespace) -> None:
    """Raises InputError for a card without a plan, which nothing would read."""
    if options.card is not None and not options.plan:
        raise InputError("--card needs a plan", "give --plan too, or leave it out")


def largest_pass(texts: Packed, rows: int) -> Pass:
    """The pass of ``rows`` packed rows that learns most tokens."""
    batches = batches_of(texts, rows)
    learnt = max(int((batch.labels != IGNORED).sum()) for batch in batches)
    return Pass(len(batches[0].ids), texts.ids.shape[1], learnt)


def speeds_of(card: str, hidden: int) -> Speeds:
    """Speeds of a card for layers of ``hidden`` size."""
    (narrow, slow), (wide, fast) = sorted((size, rate.value) for size, rate in rates.PRODUCT_TFLOPS.items())
    share = min(1.0, max(0.0, (hidden - narrow) / (wide - narrow)))
    measured, given = CARDS[rates.MEASURED_ON], CARDS[card]
    scale = TERA * given.bf16_tflops / measured.bf16_tflops
    return Speeds(
        products=scale * (slow + share * (fast - slow)),
        full=scale * rates.FULL_TFLOPS.value,
        selected=scale * rates.SELECTED_TFLOPS.value,
        window=scale * rates.WINDOW_TFLOPS.value,
        memory=given.bandwidth_tb_s * TERA * rates.BANDWIDTH_SHARE.value,
    )


def expected_runs(layers: int) -> float:
    """Layers that the search runs for a batch if each order of flips is equally likely.

    A candidate then shares half of the layers on average. ``layer_runs`` is the most.
    """
    steps = range(1, layers)
    return layers + sum(layers + candidates * layers / 2 for candidates in steps)


def source_parameters(config: HySparseConfig) -> int:
    """Parameters of the source, which has no gates."""
    counted = count_parameters(config)
    return counted.total - counted.gates


def head_seconds(config: HySparseConfig, part: Pass, speeds: Speeds, traffic: int, products: int = 2) -> float:
    """Seconds of the head and of what is made of its logits. ``products`` counts operations a weight."""
    logits = part.learnt * config.vocab_size
    return logits * (products * config.hidden_size / speeds.products + traffic / speeds.memory)


def search_spending(config: HySparseConfig, part: Pass, batches: int, heldout: int, card: str) -> Spending:
    """A search over ``batches`` passes, each placement of the curve also over ``heldout`` passes."""
    speeds, layers = speeds_of(card, config.hidden_size), config.num_hidden_layers
    ways = list(product(range(layers), (FULL, SPARSE)))
    # Over the whole path, half of the layers that run are full.
    layer = sum(layer_seconds(config, *way, part.rows, part.length, speeds) for way in ways) / len(ways)
    heads = batches * (1 + layers * (layers - 1) // 2) + heldout * layers
    runs = batches * expected_runs(layers) + heldout * layers**2
    seconds = runs * layer + heads * head_seconds(config, part, speeds, rates.SEARCH_LOGIT_TRAFFIC)
    return Spending(seconds, search_bytes(config, part) / GIB)


def search_bytes(config: HySparseConfig, part: Pass) -> float:
    """Weights once, two streams of hidden states with the keys that each shares, and the widest layer or the logits."""
    hidden = config.hidden_size
    width = max(elements(config, layer)[-1] for layer in range(config.num_hidden_layers))
    stream = 2 * (hidden + 2 * config.num_key_value_heads * config.head_dim)
    layer = part.tokens * (rates.HELD_BY_LAYER[0] * hidden + rates.HELD_BY_LAYER[1] * width)
    layer += kernel_scratch(config, part, grad=False)
    logits = part.learnt * config.vocab_size * rates.SEARCH_LOGIT_HELD
    return rates.SOURCE * source_parameters(config) + 2 * part.tokens * stream + max(layer, logits)


def kernel_scratch(config: HySparseConfig, part: Pass, grad: bool) -> int:
    """Bytes that a sparse layer's kernels hold for a moment. Rows of a pass lie in one launch."""
    block, kv_heads = config.select_block, part.rows * config.num_key_value_heads
    group = config.num_attention_heads // config.num_key_value_heads
    return sparse_scratch(part.length, config.select_tokens // block, block, group, kv_heads, config.head_dim, grad)


def distilling_spending(config: HySparseConfig, part: Pass, plan: Distilling, card: str) -> Spending:
    """A distillation with passes like ``part``, its evaluations and its checkpoints included."""
    speeds = speeds_of(card, config.hidden_size)
    layers = list(enumerate(config.kinds))

    def seconds_of(layer: int, kind: str, backward: bool = False) -> float:
        return layer_seconds(config, layer, kind, part.rows, part.length, speeds, backward)

    source = sum(seconds_of(layer, FULL) for layer, _ in layers)
    forward = [seconds_of(*layer) for layer in layers]
    trained = [seconds_of(*layer, backward=True) for layer in layers]
    parameters, again = count_parameters(config).total, sum(forward) if plan.recompute else 0.0
    # Both models have a head, and the student's has a backward pass.
    heads = head_seconds(config, part, speeds, rates.TRAINED_LOGIT_TRAFFIC, products=2 + 6)
    casts = rates.CAST_TRAFFIC * cast_weights(config) / speeds.memory
    a_pass = source + sum(trained) + again + heads + casts
    step = plan.passes * a_pass + rates.UPDATE_TRAFFIC * parameters / speeds.memory
    look = plan.heldout * (sum(forward) + head_seconds(config, part, speeds, rates.HELDOUT_LOGIT_TRAFFIC))
    written = plan.checkpoints * (rates.STUDENT + rates.ADAM) * parameters / (rates.DISK_GB_S.value * 1e9)
    seconds = rates.DISTILLATION_START_S.value + plan.steps * step + plan.evaluations * look + written
    return Spending(seconds, distilling_bytes(config, part, plan) / GIB)


def cast_weights(config: HySparseConfig) -> int:
    """Weights that autocast turns into bf16, the head's included."""
    layers = sum(multiplied(config, *layer, config.gates) for layer in enumerate(config.kinds))
    return layers + config.vocab_size * config.hidden_size


def distilling_bytes(config: HySparseConfig, part: Pass, plan: Distilling) -> float:
    """The larger of two moments: the loss of a step behind the first, and the end of a backward pass."""
    parameters = count_parameters(config).total
    models = rates.SOURCE * source_parameters(config) + (rates.STUDENT + rates.ADAM) * parameters
    gradients = rates.GRADIENTS * parameters
    # The kernels' scratch is needed once the logits are gone.
    logits = max(config.vocab_size * logit_bytes(part), kernel_scratch(config, part, grad=True))
    begun = gradients if plan.passes > 1 else 0
    loss = models + begun + rates.CAST * cast_weights(config) + part.tokens * kept_bytes(config, plan) + logits
    return max(loss, models + gradients)


def logit_bytes(part: Pass) -> float:
    """Bytes of one entry of the vocabulary at the larger of two moments: the divergence, or both models' logits."""
    of_all, of_learnt = rates.ALL_LOGITS_HELD
    return max(part.learnt * rates.TRAINED_LOGIT_HELD, part.tokens * of_all + part.learnt * of_learnt)


def kept_bytes(config: HySparseConfig, plan: Distilling) -> int:
    """Bytes a token that stay between the passes.

    Recomputing keeps each layer's input in float32, and the float32 keys and values of full layers.
    """
    if not plan.recompute:
        return sum(saved_bytes(config, *layer) for layer in enumerate(config.kinds))
    shared = 2 * 4 * config.num_key_value_heads * config.head_dim
    return sum(4 * config.hidden_size + shared * (kind == FULL) for kind in config.kinds)


def spoken(seconds: float) -> str:
    """Seconds up to ten minutes, and minutes beyond."""
    return f"{seconds:.2f} s" if seconds < 600 else f"{seconds / 60:.1f} minutes"


def search_line(config: HySparseConfig, part: Pass, batches: int, heldout: int, card: str) -> str:
    """The plan of a search in one line."""
    found = search_spending(config, part, batches, heldout, card)
    most = layer_runs(config.num_hidden_layers) / expected_runs(config.num_hidden_layers)
    return (
        f"search on one {card}: {spoken(found.seconds)}, {spoken(found.seconds * most)} at most, and "
        f"{found.gib:.2f} GiB of GPU memory, of {CARDS[card].memory_gib} [calculated]; {LEFT_OUT}"
    )


def distilling_line(config: HySparseConfig, part: Pass, plan: Distilling, card: str) -> str:
    """The plan of a distillation in one line."""
    found = distilling_spending(config, part, plan, card)
    return (
        f"{plan.steps} steps on one {card}: {spoken(found.seconds)} and {found.gib:.2f} GiB of GPU memory, "
        f"of {CARDS[card].memory_gib} [calculated]; {LEFT_OUT}"
    )
