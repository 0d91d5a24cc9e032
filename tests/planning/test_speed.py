"""Seconds of a step by the plan, beside recorded steps on H200 cards. Speeds were fitted to part of these records."""

import json

import pytest

from benchmarks.stages.engine_speed.shapes import SHAPES
from judgerlvr.config.choices import Recompute
from judgerlvr.config.load import ROOT
from judgerlvr.planning import constants
from judgerlvr.planning.load import Load
from judgerlvr.planning.machine import Machine
from judgerlvr.planning.memory import trainer_peak
from judgerlvr.planning.shapes import shape_of
from judgerlvr.planning.speed import Tokens, at_once, dense_tflops, mean_context, step_seconds

RUNS = json.loads((ROOT / "benchmarks" / "results" / "planner-h200-2026-11-29" / "runs.json").read_text())
MACHINE = Machine("h200", 0.0, 0.0, 50.0)
TIMED = [run for run in RUNS if "seconds" in run and run.get("fitted", True)]
UNSEEN = [run for run in RUNS if not run.get("fitted", True)]


def load_of_run(run):
    return Load(**run["load"] | {"recompute": Recompute(run["load"]["recompute"])})


def name_of(run):
    return f"{run['shape']}-{run['stage']}-{run['load']['gpus_per_node']}"


@pytest.mark.parametrize("run", TIMED, ids=name_of)
def test_steps_are_the_recorded_ones(run):
    planned = step_seconds(shape_of(SHAPES[run["shape"]]), load_of_run(run), MACHINE, Tokens(**run["tokens"]))
    assert sum(planned.values()) == pytest.approx(sum(run["seconds"].values()), rel=0.05)


@pytest.mark.parametrize("run", TIMED, ids=name_of)
def test_seconds_of_sampling_are_the_recorded_ones(run):
    planned = step_seconds(shape_of(SHAPES[run["shape"]]), load_of_run(run), MACHINE, Tokens(**run["tokens"]))
    assert planned["sampling"] == pytest.approx(run["seconds"]["sampling"], rel=0.05)


@pytest.mark.parametrize("run", UNSEEN, ids=name_of)
def test_a_step_of_a_shape_that_no_fit_had_used(run):
    planned = step_seconds(shape_of(SHAPES[run["shape"]]), load_of_run(run), MACHINE, Tokens(**run["tokens"]))
    assert sum(planned.values()) == pytest.approx(sum(run["seconds"].values()), rel=0.25)


@pytest.mark.parametrize("run", RUNS, ids=name_of)
def test_peaks_are_the_recorded_ones(run):
    peak = trainer_peak(shape_of(SHAPES[run["shape"]]), load_of_run(run), MACHINE.gpu)
    assert peak == pytest.approx(run["trainer_gib"], rel=0.10)


@pytest.mark.parametrize("shape", ["dense", "dense-1.7b"])
def test_running_sequences_fill_the_cache_by_their_mean_context(shape):
    """The naive twin: sequences are added one by one, each with its keys and values by the model's own sizes."""
    sizes, run = SHAPES[shape], next(run for run in TIMED if run["shape"] == "dense-1.7b")
    load, tokens = load_of_run(run), Tokens(64.0, 4000.0, 4096.0)
    weights = 2 * shape_of(sizes).parameters
    room = load.rollout_share * MACHINE.gpu.memory_gib * 2**30 - weights - constants.VLLM_GIB.value * 2**30
    token = 2 * 2 * sizes["num_key_value_heads"] * sizes["head_dim"] * sizes["num_hidden_layers"]
    held = 0
    while held < load.samples_per_engine and (held + 1) * token * mean_context(tokens) <= room:
        held += 1
    assert int(at_once(shape_of(sizes), load, MACHINE, tokens)) == held


@pytest.mark.parametrize(("hidden", "share"), [(512, 0.0), (1024, 0.0), (1536, 0.5), (2048, 1.0), (4096, 1.0)])
def test_dense_layers_between_two_measured_sizes_by_hand(hidden, share):
    slow, fast = (constants.DENSE_UPDATE_TFLOPS[size].value for size in (1024, 2048))
    assert dense_tflops(constants.DENSE_UPDATE_TFLOPS, hidden) == slow + share * (fast - slow)
