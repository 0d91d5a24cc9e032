"""Rollouts by simulation: against a loop over single steps, against the planner's formula, and by hand."""

import json
import random
from pathlib import Path

import pytest

from judgerlvr.config.load import load_config
from judgerlvr.planning.lengths import Lengths, lognormal
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import Machine
from judgerlvr.planning.shapes import shape_of
from judgerlvr.planning.simulation import FLOWING, Engine, asynchronous, run_engine, sample, synchronous
from judgerlvr.planning.speed import (
    at_once,
    decode_step_seconds,
    full_length,
    prefill_seconds,
    sampling_seconds,
    token_seconds,
)

SHAPES = Path(__file__).parent / "shapes"
MACHINE = Machine("h100", 0.0, 0.0, 50.0)


def plain(slots, step=lambda running: 1.0, token=0.0, prefill=0.0):
    return Engine(slots, step, token, prefill)


def by_single_steps(lengths, engine):
    """The naive twin: every token of every sequence, one step after another."""
    queue, running, seconds, steps = list(lengths), [], 0.0, 0
    while queue or running:
        while queue and len(running) < engine.slots:
            running.append(queue.pop(0))
            seconds += engine.prefill
        seconds += engine.step(len(running)) + len(running) * engine.token
        running = [left - 1 for left in running if left > 1]
        steps += 1
    return seconds, steps


@pytest.mark.parametrize("seed", range(40))
def test_an_engine_takes_what_a_loop_over_single_steps_takes(seed):
    draw = random.Random(seed)
    lengths = [draw.choice([1, 2, draw.randint(1, 60)]) for _ in range(draw.randint(1, 40))]
    engine = Engine(draw.randint(1, 50), lambda running: 1.0 + running**0.5, draw.random(), draw.random())
    seconds, steps = by_single_steps(lengths, engine)
    assert run_engine(lengths, engine) == (pytest.approx(seconds), steps)


def test_a_free_slot_takes_the_next_sample_by_hand():
    """3 and 1 start. The last sample takes the slot of the second. The third step has one sequence."""
    engine = Engine(2, float, 0.5, 0.25)
    assert run_engine([3, 1, 1], engine) == (2 + 2 + 1 + 5 * 0.5 + 3 * 0.25, 3)


def test_waiting_and_empty_slots_by_hand():
    found = sample([4, 2], 2, plain(1))
    assert (found.seconds, found.waiting, found.filled) == (4.0, 0.25, 6 / 8)


def test_samples_are_dealt_in_turn_by_hand():
    """The first engine has 5 and 1 in one slot, the second 2 and 2."""
    found = sample([5, 2, 1, 2], 2, plain(1))
    assert (found.seconds, found.busy, found.filled) == (6.0, 5.0, 10 / 12)


def test_an_engine_without_samples_waits():
    assert sample([4], 2, plain(1)).waiting == 0.5


@pytest.mark.parametrize("name", ["qwen3-0.6b", "qwen3-30b-a3b"])
@pytest.mark.parametrize("response", [64, 1024])
def test_equal_lengths_take_the_planner_s_seconds(name, response):
    words = [f"generate.max_response_tokens={response}", "generate.batch.prompts_per_step=16"]
    load = load_of("generate", load_config("configs/qwen3_0.6b.yaml", words))
    shape = shape_of(json.loads((SHAPES / name / "config.json").read_text()))
    tokens = full_length(load)
    slots = int(at_once(shape, load, MACHINE, tokens))
    assert load.samples_per_engine % slots == 0
    engine = Engine(
        slots,
        lambda running: decode_step_seconds(shape, load, MACHINE, running),
        token_seconds(shape, load, MACHINE, tokens),
        prefill_seconds(shape, load, tokens),
    )
    found = sample([response] * load.samples, load.engines, engine)
    assert found.seconds == pytest.approx(sampling_seconds(shape, load, MACHINE, tokens))


@pytest.mark.parametrize("engines", [1, 4])
def test_equal_lengths_gain_nothing(engines):
    lengths, engine = Lengths((7,), "one length"), plain(8)
    found = synchronous(lengths, 32, engines, engine)
    assert (found.waiting, found.filled) == (0.0, 1.0)
    assert asynchronous(lengths, 32, engines, engine) == found.seconds


@pytest.mark.parametrize("mean", [100, 2000])
def test_a_longer_tail_gains_more(mean):
    gains = []
    for tail in (1.0, 1.5, 4.0, 8.0):
        lengths = lognormal(mean, tail, 100 * mean)
        gains.append(synchronous(lengths, 256, 4, plain(64)).seconds / asynchronous(lengths, 256, 4, plain(64)))
    assert gains == sorted(gains) and gains[0] == pytest.approx(1.0) and gains[-1] > 1.5


def test_flowing_steps_make_every_token():
    """Each engine's slots are full but at the end, so that the mean step is the tokens over the slots."""
    lengths, slots, engines, samples = Lengths(tuple(range(1, 11)), "one to ten"), 4, 2, 400
    tokens = samples * lengths.mean
    assert asynchronous(lengths, samples, engines, plain(slots)) == pytest.approx(tokens / (slots * engines), rel=0.05)
    assert FLOWING > 1
