"""Each kind of world: which one a configuration makes, what the sampler shows it, and an unchanged chain."""

import hashlib

import pytest
import torch

from benchmarks.lab.cells import all_cells
from benchmarks.lab.measured import DEMO, FAMILIES, GATES, family
from benchmarks.lab.model import Shape, initial_weights
from benchmarks.lab.records import describe
from benchmarks.lab.sampler import Sampler, Style
from benchmarks.lab.worlds.base import TOKENS
from benchmarks.lab.worlds.chain import ChainConfig
from benchmarks.lab.worlds.gate import GateWorld
from benchmarks.lab.worlds.gate_facts import GateConfig
from benchmarks.lab.worlds.making import make_world

CPU = torch.device("cpu")
WORLDS = {
    "chain-92-05": "chain",
    "twin-92-05": "chain-twin",
    "gate-a-05": "gate-a",
    "gate-s-05": "gate-s",
    "gate-a-polarity-05": "gate-a-polarity",
    "gate-s-polarity-05": "gate-s-polarity",
    "demo-40": "demo",
}


@pytest.mark.parametrize("cell", WORLDS)
def test_the_configuration_of_a_cell_makes_its_world(cell):
    assert make_world(all_cells()[cell].world, CPU).name == WORLDS[cell]


# Of what this test draws, at the commit before the gate worlds. The committed records come from these worlds.
CHAINS = {
    "chain": (ChainConfig(), "d902b783eb963965a73d2846e7f7376d6fc04ab5e965acd47551831f98e7a793"),
    "twin": (
        ChainConfig(replaces=False, operations=6, seed=3),
        "4a22854bd25110db1b71ab4af36771232d8eced7af53abcc2b16295ec7e50f32",
    ),
}


@pytest.mark.parametrize("kind", CHAINS)
def test_the_chain_draws_what_it_drew(kind):
    config, expected = CHAINS[kind]
    world, draw = make_world(config, CPU), torch.Generator().manual_seed(11)
    problems = world.problems(500, draw)
    solving = world.solve_traces(problems, draw)
    candidate = world.candidates(problems, draw)
    judging = world.judge_traces(problems, candidate, draw)
    prompts = world.judge_prompt(problems, candidate)
    drawn = (*problems.values(), solving.tokens, solving.lengths, candidate, judging.tokens, judging.lengths, prompts)
    assert hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in drawn)).hexdigest() == expected


class Late(GateWorld):
    """Forces a recheck as soon as the oldest token of its window is written."""

    def recheck_due(self, window):
        return window[..., 0] != TOKENS.pad


@pytest.mark.parametrize("lists_all, window", [(False, 6), (True, 16)])
def test_the_sampler_shows_a_world_the_window_that_it_asks_for(lists_all, window):
    world = Late(GateConfig(lists_all=lists_all), CPU)
    shape = Shape(world.vocabulary, width=16, layers=1, heads=1, key_heads=1, head_width=8, hidden=16)
    draw = torch.Generator().manual_seed(0)
    sampler = Sampler(shape, world, 1, 8, False, CPU)
    prompts = world.prompt(world.problems(8, draw))[None]
    samples = sampler.run(initial_weights(shape, [0], CPU), prompts, draw, style=torch.full((1, 8), int(Style.EVERY)))
    forced = samples.tokens == TOKENS.recheck
    long = samples.lengths[0] > window
    assert bool(long.any())
    assert bool(forced[0, long, window].all())
    assert not bool(forced[0, long, :window].all(0).any())


def test_a_case_of_the_diagnosis_names_the_family_of_its_world():
    families = {name: family(describe(cell)["settings"]["world"]) for name, cell in all_cells().items()}
    assert families["chain-92-05"] == FAMILIES[True]
    assert families["twin-92-05"] == FAMILIES[False]
    assert families["gate-a-05"] == families["gate-s-polarity-05"] == GATES
    assert families["demo-40"] == DEMO
