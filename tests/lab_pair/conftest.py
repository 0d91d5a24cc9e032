"""A small world of the lab with a base that has seen a few traces, and samples of both kinds."""

from types import SimpleNamespace

import pytest
import torch

from benchmarks.lab.cells import all_cells
from benchmarks.lab.model import Shape
from benchmarks.lab.sampler import Sampler
from benchmarks.lab.sft import SftConfig, train_base
from benchmarks.lab.worlds.base import repeat
from benchmarks.lab_pair.world import world_of

NAME, ROWS, GROUP = "pair-smoke", 48, 4


@pytest.fixture(scope="session")
def small():
    """Cell, world, shape, a base of 60 steps, and what it samples: problems, solving and judging samples."""
    cell, world, cpu = all_cells()[NAME], world_of(NAME), torch.device("cpu")
    shape = Shape(world.vocabulary, **cell.model)
    base = train_base(shape, world, SftConfig(60, 32, 1e-2), cpu, say=lambda _: None)
    draw = torch.Generator().manual_seed(5)
    problems = world.problems(ROWS, draw)
    candidates = world.candidates(problems, draw)
    solve, judge = (Sampler(shape, world, 1, ROWS * GROUP, judging, cpu) for judging in (False, True))
    solved = solve.run(base, world.prompt(problems)[None], draw)
    judged = judge.run(base, world.judge_prompt(problems, candidates)[None], draw)
    return SimpleNamespace(
        **dict(cell=cell, world=world, shape=shape, base=base, problems=problems, candidates=candidates),
        **dict(solved=solved, judged=judged, repeated=repeat(problems, GROUP)),
    )
