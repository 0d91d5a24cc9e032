"""Losses of placements of full layers, measured layer by layer on one copy of the source's weights.

A conversion starts with the source's weights in every placement. A layer therefore exists twice, as a full and as a
sparse layer, on the same tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from judgerlvr.hysparse.conversion.conversion import adopt, config_from
from judgerlvr.hysparse.conversion.options import InitialValues
from judgerlvr.hysparse.conversion.texts import IGNORED, Packed
from judgerlvr.hysparse.model.attention import SelectedBlocks, Step
from judgerlvr.hysparse.model.layout import FULL, SPARSE
from judgerlvr.hysparse.ops.segments import segments_of


@dataclass(frozen=True)
class Stream:
    """A batch between two layers: hidden states [rows, length, hidden_size], and what the last full layer shares."""

    hidden: torch.Tensor
    blocks: SelectedBlocks
    step: Step


class Stack:
    """The source's layers, each to be run as full or as sparse, and the loss after the last."""

    def __init__(self, source: PreTrainedModel, start: InitialValues, **changes: Any) -> None:
        """``changes`` go to HySparseConfig. The layers use the source's tensors and add no copy."""
        layers, weights = source.config.num_hidden_layers, source.state_dict()
        # A gate that is constant needs no element of its own, so head gates save memory.
        shared = {**changes, "gates": "head"}
        kinds = {FULL: [FULL] * layers, SPARSE: [FULL] + [SPARSE] * (layers - 1)}
        models = {
            kind: adopt(weights, config_from(source.config, **shared, layer_types=kinds[kind]), start).eval()
            for kind in kinds
        }
        self.model = models[FULL]
        self.layers = {kind: model.model.layers for kind, model in models.items()}
        for layer in self.layers[FULL]:
            layer.self_attn.selects = True
        self.runs = 0

    @property
    def count(self) -> int:
        """Number of layers."""
        return len(self.layers[FULL])

    def begin(self, batch: Packed) -> Stream:
        """The batch before the first layer."""
        core, hidden = self.model.model, self.model.get_input_embeddings()(batch.ids)
        shape = (hidden.shape[0], hidden.shape[1])
        segments = segments_of(shape, 0, batch.positions, None, None, hidden.device)
        return Stream(hidden, SelectedBlocks(), Step(core.rotary_emb(hidden, batch.positions), segments, None))

    def advance(self, stream: Stream, layer: int, kind: str) -> Stream:
        """The batch after ``layer``, run as ``kind``."""
        self.runs += 1
        blocks = SelectedBlocks() if kind == FULL else stream.blocks
        hidden, *shared = self.layers[kind][layer](stream.hidden, blocks, stream.step)
        if kind == FULL:
            blocks.keys, blocks.values = shared
        return replace(stream, hidden=hidden, blocks=blocks)

    def summed_loss(self, stream: Stream, batch: Packed) -> float:
        """Cross-entropy in nats, summed over the learnt tokens of the batch."""
        learnt = batch.labels != IGNORED
        logits = self.model.lm_head(self.model.model.norm(stream.hidden[learnt])).float()
        return F.cross_entropy(logits, batch.labels[learnt], reduction="sum").item()


def batches_of(texts: Packed, rows: int) -> list[Packed]:
    """The rows in order, ``rows`` at a time."""
    return [texts.part(numbers) for numbers in torch.arange(len(texts.ids)).split(rows)]


@torch.no_grad()
def loss_of(stack: Stack, kinds: Sequence[str], batches: Sequence[Packed]) -> float:
    """Cross-entropy in nats a token of one placement."""
    total = sum(finish(stack, stack.begin(batch), batch, kinds, 0) for batch in batches)
    return total / learnt_tokens(batches)


def finish(stack: Stack, stream: Stream, batch: Packed, kinds: Sequence[str], first: int) -> float:
    """Summed loss after the layers from ``first`` on."""
    for layer in range(first, stack.count):
        stream = stack.advance(stream, layer, kinds[layer])
    return stack.summed_loss(stream, batch)


def learnt_tokens(batches: Sequence[Packed]) -> int:
    """Number of tokens that count in a loss."""
    return sum(int((batch.labels != IGNORED).sum()) for batch in batches)


@torch.no_grad()
def losses_of_flips(stack: Stack, kinds: Sequence[str], batches: Sequence[Packed]) -> dict[int, float]:
    """Loss in nats a token of ``kinds`` with one more sparse layer, by the number of that layer.

    A candidate shares all layers before the flipped layer with ``kinds``. These layers run once for all candidates.
    """
    totals = {layer: 0.0 for layer in range(1, stack.count) if kinds[layer] == FULL}
    for batch in batches:
        stream = stack.begin(batch)
        for layer in range(stack.count):
            if layer in totals:
                flipped = stack.advance(stream, layer, SPARSE)
                totals[layer] += finish(stack, flipped, batch, kinds, layer + 1)
            stream = stack.advance(stream, layer, kinds[layer])
    return {layer: total / learnt_tokens(batches) for layer, total in totals.items()}


def greedy(stack: Stack, batches: Sequence[Packed]) -> Iterator[tuple[list[str], float]]:
    """Placements and their losses in nats a token, from all layers full to the first layer alone.

    Each step makes the layer sparse that costs least. Of equal losses, the lower layer wins. A loss that is not finite
    costs most.
    """
    kinds = [FULL] * stack.count
    yield kinds, loss_of(stack, kinds, batches)
    for _ in range(1, stack.count):
        losses = losses_of_flips(stack, kinds, batches)
        # A NaN is above nothing and below nothing, so it could win.
        cheapest = min(losses, key=lambda layer: (not math.isfinite(losses[layer]), losses[layer], layer))
        kinds = [SPARSE if layer == cheapest else kind for layer, kind in enumerate(kinds)]
        yield kinds, losses[cheapest]


def layer_runs(layers: int) -> int:
    """The most layers that ``greedy`` runs for a batch. Candidates near the first layer share the least."""
    steps = range(1, layers)
    return layers + sum(layers + sum(layers - flipped for flipped in range(1, candidates + 1)) for candidates in steps)
