"""Speed and agreement on this machine, plain and compiled: ``python -m benchmarks.lab.speed [--out FILE]``.

Weights are untrained. Their responses run to their limit, so these seconds are an upper bound of a step's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.lab.adam import Adam
from benchmarks.lab.cells import all_cells
from benchmarks.lab.command import Parser, one_line, writable_file
from benchmarks.lab.model import (
    Shape,
    cast,
    compile_pieces,
    compute_type,
    initial_weights,
    next_token_logits,
    trainable,
)
from benchmarks.lab.objective import token_logprobs
from benchmarks.lab.records import LABEL, as_json, machine
from benchmarks.lab.sampler import Samples
from benchmarks.lab.sft import Written, batch_loss, draw_batches
from benchmarks.lab.training import Batch, Trainer
from benchmarks.lab.worlds.making import make_world


def measure(name: str, device: torch.device) -> dict[str, float]:
    """Seconds of an SFT step, of a sampling of all runs and of one step's updates, and two forwards' disagreement."""
    cell = all_cells()[name]
    world = make_world(cell.world, device)
    shape = Shape(world.vocabulary, **cell.model)
    trainer = Trainer(shape, world, cell.rl, cell.seeds, cell.rates, device)
    weights = trainable(initial_weights(shape, [0] * trainer.runs, device))
    draw = torch.Generator(device=device).manual_seed(0)
    problems = world.problems(trainer.runs * cell.rl.prompts, draw)
    prompts = world.prompt(problems).unflatten(0, (trainer.runs, -1))
    samples = trainer.solver.run(weights, prompts, draw)
    advantages = torch.randn(samples.lengths.shape, generator=draw, device=device)
    every = torch.ones_like(samples.ended)
    adam, batch = Adam(weights, trainer.rates), Batch(prompts, samples, advantages, every, every.float())
    batches: list[list[Written]] = draw_batches(world, cell.sft.rows, draw)
    single = trainable(initial_weights(shape, [0], device))
    figures = {
        "disagreement": disagreement(trainer, weights, prompts, samples),
        "tokens_sampled": float(samples.lengths.sum()),
        "draw_sft_seconds": timed(lambda: draw_batches(world, cell.sft.rows, draw)) / len(batches),
        "sft_step_seconds": timed(lambda: batch_loss(shape, single, trainer.table, batches[0]).backward()),
        "sample_seconds": timed(lambda: trainer.solver.run(weights, prompts, draw)),
        "update_seconds": timed(lambda: trainer.update(weights, adam, [batch], draw)),
    }
    return figures | ({"peak_gib": torch.cuda.max_memory_allocated() / 2**30} if device.type == "cuda" else {})


def disagreement(trainer: Trainer, weights: dict, prompts: torch.Tensor, samples: Samples) -> float:
    """Mean absolute difference of the sampler's log-probabilities from one forward over the same tokens."""
    share = samples.lengths.shape[1] // prompts.shape[1]
    rows = slice(0, 4 * share)
    ids = torch.cat((prompts[:, :4].repeat_interleave(share, 1), samples.tokens[:, rows]), -1)
    with torch.no_grad():
        used = cast(weights, compute_type(ids.device))
        logits = next_token_logits(trainer.shape, used, ids[..., :-1], trainer.table, prompts.shape[2])
    off = (token_logprobs(logits, samples.tokens[:, rows]) - samples.logprobs[:, rows]).abs()
    own = samples.own[:, rows]
    return float((off * own).sum() / own.sum())


def timed(action: Callable[[], object], times: int = 3) -> float:
    """Mean seconds of ``action`` after one call that is not counted."""
    action()
    synchronise()
    began = time.perf_counter()
    for _ in range(times):
        action()
    synchronise()
    return (time.perf_counter() - began) / times


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    made = Parser(prog="python -m benchmarks.lab.speed", description=LABEL)
    made.add_argument("--cell", default="chain-92-05", choices=sorted(all_cells()))
    made.add_argument("--out", type=Path)
    options = made.parse_args(arguments)
    if options.out:
        writable_file(options.out)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    results: dict[str, object] = {"lab": LABEL, **machine(device)}
    for mode in ("plain", "compiled") if device.type == "cuda" else ("plain",):
        if mode == "compiled":
            compile_pieces()
        began = time.perf_counter()
        results[mode] = measure(options.cell, device) | {"all_seconds": time.perf_counter() - began}
        print(mode, as_json(results[mode]), flush=True)
    if options.out:
        options.out.write_text(as_json(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
