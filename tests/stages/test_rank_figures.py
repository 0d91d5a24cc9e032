"""The arithmetic of the comparison of numbers of ranks."""

import math
import random

import pytest
import torch

from benchmarks.stages.rank_equality import STEPS, available_gib
from benchmarks.stages.rank_figures import (
    GRADIENT_TOLERANCE,
    HEAD,
    LOSS_TOLERANCE,
    Difference,
    differences,
    equal_samples,
    table_row,
    weight_difference,
    weights_of,
)
from judgerlvr.runs.metrics import METRICS, append_row
from judgerlvr.runs.rollout_log import ROLLOUTS, LoggedRollout, write_step
from tests.helpers.run_folders import step_row

SHAPES = {"rows": (5, 3), "vector": (4,), "one": (1,)}


def weights(seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return {name: scale * torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def moved(start, seed, size):
    return {name: tensor + weights(seed, size)[name] for name, tensor in start.items()}


def naive(one, other, start):
    """One weight at a time, in Python's own numbers."""
    triples = [
        (float(a), float(b), float(c))
        for name in other
        for a, b, c in zip(one[name].flatten(), other[name].flatten(), start[name].flatten(), strict=True)
    ]
    apart = math.sqrt(sum((a - b) ** 2 for a, b, _ in triples))
    changed = math.sqrt(sum((b - c) ** 2 for _, b, c in triples))
    return (
        apart / changed if changed else 0.0,
        max(abs(a - b) for a, b, _ in triples),
        sum(a == b for a, b, _ in triples) / len(triples),
    )


@pytest.mark.parametrize("size", [1e-7, 1e-3, 1.0])
def test_weights_are_compared_as_one_at_a_time(size):
    start = weights(0)
    other = moved(start, 1, 0.1)
    one = moved(other, 2, size)
    one["one"] = other["one"].clone()
    assert weight_difference(one, other, start) == pytest.approx(naive(one, other, start), rel=1e-9)


def test_equal_weights_differ_by_nothing():
    start = weights(0)
    other = moved(start, 1, 0.1)
    assert weight_difference(other, other, start) == (0.0, 0.0, 1.0)
    assert weight_difference(start, start, start) == (0.0, 0.0, 1.0)


def sample(number, response="r", score=1.0, step=1):
    return LoggedRollout(step, f"p{number // 2}", number % 2, "prompt", response, score, "right", 3)


@pytest.mark.parametrize("seed", range(5))
def test_samples_are_paired_whatever_their_order(seed):
    draw = random.Random(seed)
    one = [sample(number) for number in range(8)]
    changed = draw.sample(range(8), 3)
    other = [
        sample(n, response="s" if n == changed[0] else "r", score=0.0 if n in changed[1:] else 1.0) for n in range(8)
    ]
    draw.shuffle(other)
    assert equal_samples(one, other) == 5


def write_run(folder, losses, gradient=2.0):
    """Rows, rollouts and shards of one rank, as a run writes them."""
    for step, loss in enumerate(losses, start=1):
        more = {"actor/pg_loss": loss, "actor/grad_norm": gradient, "budget/generated_tokens": 10.0 * step}
        folder.mkdir(parents=True, exist_ok=True)
        append_row(folder / METRICS, step_row(step, more=more))
        write_step(folder / ROLLOUTS, step, [sample(number, step=step) for number in range(4)])
        actor = folder / "checkpoints" / f"global_step_{step}" / "actor"
        actor.mkdir(parents=True)
        torch.save(weights(step), actor / "model_world_size_1_rank_0.pt")
    return folder


def test_a_run_is_compared_step_by_step(tmp_path):
    one, other = write_run(tmp_path / "a", [0.5, 0.25], 2.0), write_run(tmp_path / "b", [0.5, 0.75], 1.0)
    start = weights(9)
    found = differences(one, other, start)
    assert [(each.step, each.tokens, each.equal_samples, each.samples) for each in found] == [
        (1, 10, 4, 4),
        (2, 20, 4, 4),
    ]
    assert [each.loss_difference for each in found] == [0.0, 0.5]
    assert [each.gradient_difference for each in found] == [1.0, 1.0]
    assert {(each.weights, each.same_bits) for each in found} == {(0.0, 1.0)}
    assert [each.step for each in differences(one, other, start, STEPS)] == [STEPS]


def test_weights_of_a_checkpoint_are_float32(tmp_path):
    run = write_run(tmp_path, [0.5])
    found = weights_of(run / "checkpoints" / "global_step_1")
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert torch.equal(found["rows"], weights(1)["rows"])


def difference(equal=4, loss=0.0, gradient=0.0):
    return Difference(1, 10, 4, equal, 0.5, loss, 2.0, gradient, 0.1, 1e-6, 0.5)


@pytest.mark.parametrize(
    ("found", "within"),
    [
        (difference(), True),
        (difference(equal=3), False),
        (difference(loss=1.01 * LOSS_TOLERANCE), False),
        (difference(gradient=1.01 * GRADIENT_TOLERANCE), False),
        (difference(loss=LOSS_TOLERANCE, gradient=GRADIENT_TOLERANCE), True),
    ],
)
def test_what_counts_as_equal(found, within):
    assert found.within is within


def test_a_row_has_the_columns_of_the_head():
    assert table_row("2 ranks", difference()).count("|") == HEAD.count("|")


def test_memory_is_read_in_gib():
    assert 0.01 < available_gib() < 1e5
