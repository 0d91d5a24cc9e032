"""No held-out judge pair is trained on, and what is measured on held-out pairs uses no others."""

from dataclasses import replace

import pytest
import torch

from benchmarks.lab import run
from benchmarks.lab.arms import main_arms, recipe_arms
from benchmarks.lab.cells import all_cells
from benchmarks.lab.model import initial_weights
from benchmarks.lab.records import CellFolder
from benchmarks.lab.training import Octet, Trainer
from benchmarks.lab.worlds.chain import ChainWorld
from tests.lab.written import SAYS_RIGHT, WrittenSampler, solution

CPU = torch.device("cpu")
HARD = next(arm for arm in recipe_arms(6) if arm.name == "judge-hard")
CELL = replace(all_cells()["smoke"], arms=(*main_arms(6)[:2], HARD))


class Marked(ChainWorld):
    """A world whose problems have a mark, since small worlds draw equal problems."""

    def problems(self, rows, draw):
        made = super().problems(rows, draw)
        return made | {"mark": torch.randint(2**60, (rows,), generator=draw)}


class Written(Trainer):
    """A trainer whose responses are written: every second one is right, so that each problem gives a pair."""

    def __init__(self, shape, world, config, seeds, rates, device):
        super().__init__(shape, world, config, seeds, rates, device)
        rows = self.solver.rows

        def solve(asked, run, row):
            prompts = asked.prompts[run]
            return solution(world, prompts[row * len(prompts) // rows], row % 2)

        self.solver = WrittenSampler(self.runs, rows, solve)
        self.judger = WrittenSampler(self.runs, self.judger.rows, lambda *rest: SAYS_RIGHT)


def marks(pool):
    return pool.problems["mark"].tolist()


@pytest.fixture(scope="module")
def cell_run(tmp_path_factory):
    """(cell as the command makes it, pools that the arms were trained on, by arm)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "make_world", Marked)
        patch.setattr(run, "Trainer", Written)
        patch.setattr(run, "train_base", lambda shape, *rest: initial_weights(shape, [0], CPU))
        folder = CellFolder(tmp_path_factory.mktemp("cell"))
        made = run.CellRun(CELL, folder, CPU, float("inf"), [arm.name for arm in CELL.arms])
        given = {}

        def train(arm, base, pool, evaluator, *rest):
            given[arm.name] = pool
            assert evaluator is made.evaluator
            return Octet([[] for _ in range(made.trainer.runs)], [], complete=True)

        patch.setattr(made.trainer, "train", train)
        assert made.run_arms()
    return made, given


def test_as_many_pairs_are_held_out_as_the_cell_says(cell_run):
    assert len(cell_run[0].evaluator.heldout) == CELL.rl.heldout_pairs


@pytest.mark.parametrize("arm", [arm.name for arm in CELL.arms])
def test_no_arm_is_trained_on_a_held_out_pair(cell_run, arm):
    made, given = cell_run
    assert len(given[arm]) > 0
    assert not set(marks(given[arm])) & set(marks(made.evaluator.heldout))


def test_the_shortcut_is_measured_on_pairs_of_training(cell_run, monkeypatch):
    made, _ = cell_run
    seen = []
    monkeypatch.setattr(run, "shortcut_accuracy", lambda world, pool: seen.append(pool) or 0.5)
    monkeypatch.setattr(run, "base_checks", lambda points, shortcut, accuracy: [])
    made.check_base()
    assert not set(marks(seen[0])) & set(marks(made.evaluator.heldout))


def test_judging_is_measured_on_the_held_out_pairs_alone(cell_run, monkeypatch):
    made, _ = cell_run
    judged = []
    real = made.world.judge_prompt
    monkeypatch.setattr(
        made.world, "judge_prompt", lambda problems, shown: judged.append(problems) or real(problems, shown)
    )
    made.evaluator.points(made.base, full=True)
    assert {mark for problems in judged for mark in problems["mark"].tolist()} == set(marks(made.evaluator.heldout))
