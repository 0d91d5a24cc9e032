"""How far the steps of a run differ from those of another run: samples, loss, gradient norm and weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from judgerlvr.export.shards import Shards
from judgerlvr.runs.metrics import GENERATED_TOKENS, GRADIENT, LOSS, METRICS, StepRow, merge_steps, read_metrics
from judgerlvr.runs.rollout_log import ROLLOUTS, LoggedRollout, read_steps

# Largest differences that float32 explains in a step that begins with the same weights. The page of results argues.
LOSS_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4
HEAD = (
    "| run | step | tokens so far | equal samples | loss | difference | gradient norm | relative difference "
    "| weights: share of the step | largest | equal bits |"
)

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Difference:
    """One step of a run against the same step of another run.

    ``weights`` is the norm of the difference by the norm of what training has changed so far. ``largest`` is the
    largest difference of one weight. ``same_bits`` is the share of weights without any difference.
    """

    step: int
    tokens: int
    samples: int
    equal_samples: int
    loss: float
    loss_difference: float
    gradient: float
    gradient_difference: float
    weights: float
    largest: float
    same_bits: float

    @property
    def within(self) -> bool:
        """Whether the same samples gave the same loss and gradient, as far as float32 can tell."""
        same = self.equal_samples == self.samples
        return same and self.loss_difference <= LOSS_TOLERANCE and self.gradient_difference <= GRADIENT_TOLERANCE


def weights_of(checkpoint: Path) -> dict[str, Tensor]:
    """The float32 weights of a checkpoint, whatever number of ranks saved them."""
    shards = Shards(checkpoint / "actor")
    return {name: shards.whole(name, torch.float32) for name in shards.names}


def equal_samples(one: Sequence[LoggedRollout], other: Sequence[LoggedRollout]) -> int:
    """How many samples of a step have the same problem, text and score in both runs."""

    def marked(samples: Sequence[LoggedRollout]) -> set[tuple[str, int, str, float]]:
        return {(sample.id, sample.sample, sample.response, sample.score) for sample in samples}

    return len(marked(one) & marked(other))


def weight_difference(one: Weights, other: Weights, start: Weights) -> tuple[float, float, float]:
    """(norm of the difference by the norm of ``other - start``, largest difference, share of equal weights)."""
    apart = changed = 0.0
    largest, same, count = 0.0, 0, 0
    for name, tensor in other.items():
        difference = (one[name].double() - tensor.double()).abs()
        apart += float((difference**2).sum())
        changed += float(((tensor.double() - start[name].double()) ** 2).sum())
        largest = max(largest, float(difference.max()))
        same += int((difference == 0).sum())
        count += difference.numel()
    return math.sqrt(apart) / math.sqrt(changed) if changed else 0.0, largest, same / count


def differences(run: Path, reference: Path, start: Weights, first: int = 1) -> list[Difference]:
    """Each step of ``run`` from ``first`` on against the same step of ``reference``. ``start``: weights before."""
    rows, expected = _rows(run), _rows(reference)
    samples, wanted = list(read_steps(run / ROLLOUTS)), list(read_steps(reference / ROLLOUTS))
    found = []
    for step in sorted(rows.keys() & expected.keys()):
        if step < first:
            continue
        one, other = rows[step], expected[step]
        mine, theirs = ([sample for sample in logged if sample.step == step] for logged in (samples, wanted))
        checkpoint = f"checkpoints/global_step_{step}"
        weights = weight_difference(weights_of(run / checkpoint), weights_of(reference / checkpoint), start)
        found.append(_difference(one, other, (len(theirs), equal_samples(mine, theirs)), weights))
    return found


def _difference(
    one: StepRow, other: StepRow, samples: tuple[int, int], weights: tuple[float, float, float]
) -> Difference:
    return Difference(
        one.step,
        int(one[GENERATED_TOKENS]),
        *samples,
        one[LOSS],
        abs(one[LOSS] - other[LOSS]),
        one[GRADIENT],
        abs(one[GRADIENT] - other[GRADIENT]) / other[GRADIENT] if other[GRADIENT] else math.inf,
        *weights,
    )


def _rows(run: Path) -> dict[int, StepRow]:
    return {row.step: row for row in merge_steps(read_metrics(run / METRICS)) if row.is_training}


def table_row(name: str, found: Difference) -> str:
    """A row below ``HEAD``."""
    cells = (
        name,
        found.step,
        found.tokens,
        f"{found.equal_samples} of {found.samples}",
        f"{found.loss:.7f}",
        f"{found.loss_difference:.1e}",
        f"{found.gradient:.7f}",
        f"{found.gradient_difference:.1e}",
        f"{found.weights:.1e}",
        f"{found.largest:.1e}",
        f"{found.same_bits:.4f}",
    )
    return f"| {' | '.join(map(str, cells))} |"
