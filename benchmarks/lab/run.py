"""One cell: ``python -m benchmarks.lab.run CELL --out DIR [--seconds S]``.

A second call with the same DIR does what is missing there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.lab.arms import Arm
from benchmarks.lab.cells import Cell, all_cells
from benchmarks.lab.checks import Check, base_checks, shortcut_accuracy
from benchmarks.lab.claim import claimed
from benchmarks.lab.command import BadInput, Parser, one_line, seconds
from benchmarks.lab.evaluation import Evaluator
from benchmarks.lab.judge_pool import Pool, sample_pool
from benchmarks.lab.model import Shape, Weights, compile_pieces, repeat_run
from benchmarks.lab.records import LABEL, CellFolder, machine
from benchmarks.lab.sft import train_base
from benchmarks.lab.training import Trainer
from benchmarks.lab.worlds.making import make_world

POOL_SEED = 4242
HARD = Arm.hard  # of every arm but the recipe of hard negatives


class TooFewPairs(Exception):
    """The base answers nearly all problems alike, so that no judge set can be made."""


class CellRun:
    """Everything that the arms of one cell share."""

    def __init__(self, cell: Cell, folder: CellFolder, device: torch.device, deadline: float, arms: list[str]) -> None:
        self.cell, self.folder, self.device, self.deadline = cell, folder, device, deadline
        self.arms = [arm for arm in cell.arms if arm.name in arms]
        self.world = make_world(cell.world, device)
        self.shape = Shape(self.world.vocabulary, **cell.model)
        self.trainer = Trainer(self.shape, self.world, cell.rl, cell.seeds, cell.rates, device)
        self.base = repeat_run(self._base(), self.trainer.runs)
        self.pool, heldout = self._pools(HARD)
        self.evaluator = Evaluator(self.world, self.trainer.solver, self.trainer.judger, heldout, cell.rl.group)

    def check_base(self) -> list[Check]:
        """The first verdict on a base counts, since a base near a limit would pass at some call."""
        checks = self.folder.load_checks()
        if checks is None:
            checks = self._measured()
        else:
            say("checks: measured before")
        for check in checks:
            say(f"{'go   ' if check.passed else 'NO GO'} {check.name}: {check.value:.4f}")
        return checks

    def _measured(self) -> list[Check]:
        free, cold = self.evaluator.points(self.base, full=True), self.evaluator.cold_points(self.base)
        points = [one | other for one, other in zip(free, cold, strict=True)]
        checks = base_checks(points, shortcut_accuracy(self.world, self.pool), self.cell.base_accuracy)
        facts = {"pairs": len(self.pool), "candidate_tokens": self.pool.tokens, **machine(self.device)}
        return self.folder.save_checks(self.cell, checks, points, facts)

    def run_arms(self) -> bool:
        """Train what is missing, arm by arm. False when the time limit left something out."""
        longest = 0.0
        for arm in self.arms:
            if self.folder.finished(arm):
                say(f"{arm.name}: done before")
                continue
            if time.monotonic() + longest > self.deadline:
                say(f"{arm.name}: no time left for {longest:.0f} s")
                return False
            pool = self.pool if arm.hard == HARD else self._pools(arm.hard)[0]
            octet = self.trainer.train(arm, self.base, pool, self.evaluator, self.cell.seed, self.deadline, say)
            facts = {"candidate_tokens": octet.candidate_tokens, "pairs": len(pool), **machine(self.device)}
            self.folder.save_octet(self.cell, arm, octet, facts)
            say(f"{arm.name}: {'complete' if octet.complete else 'cut by the time limit'} in {octet.seconds:.0f} s")
            longest = max(longest, octet.seconds)
            if not octet.complete:
                return False
        return True

    def _base(self) -> Weights:
        stored = self.folder.load_base(self.device)
        if stored is not None:
            say("base loaded")
            return stored
        trained = train_base(self.shape, self.world, self.cell.sft, self.device, say)
        say("base trained")
        return self.folder.save_base(trained)

    def _pools(self, hard: float) -> tuple[Pool, Pool]:
        rl = self.cell.rl
        wanted = rl.pool + rl.heldout_pairs
        sampler, rounds = self.trainer.solver, rl.pool_rounds
        pool = sample_pool(self.world, sampler, self.base, rl.group, wanted, POOL_SEED, rounds, hard)
        say(f"{len(pool)} judge pairs from {pool.tokens / 1e6:.1f} M candidate tokens")
        if len(pool) <= rl.heldout_pairs:
            raise TooFewPairs(
                f"only {len(pool)} problems had a right and a wrong answer: {rl.heldout_pairs} are held out"
            )
        return pool.part(slice(rl.heldout_pairs, None)), pool.part(slice(0, rl.heldout_pairs))


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)


BEGAN = time.monotonic()


def parser() -> Parser:
    made = Parser(prog="python -m benchmarks.lab.run", description=LABEL)
    made.add_argument("cell", choices=sorted(all_cells()), metavar="CELL", help="; ".join(sorted(all_cells())))
    made.add_argument("--out", type=Path, required=True, help="folder of the cell; what it holds is not done again")
    made.add_argument("--seconds", type=seconds, default=float("inf"), help="stop in time, counted from the start")
    made.add_argument("--arms", help="only these arms, comma-separated")
    made.add_argument("--eager", action="store_true", help="no torch.compile on a GPU")
    made.add_argument("--despite-checks", action="store_true", help="train although a check of the base failed")
    made.add_argument("--base-only", action="store_true", help="stop after the base and its checks")
    return made


def named_arms(cell: Cell, text: str | None) -> list[str]:
    known = [arm.name for arm in cell.arms]
    named = known if text is None else text.split(",")
    if unknown := sorted(set(named) - set(known)):
        raise BadInput(f"--arms: {cell.name} has no arm {', '.join(map(repr, unknown))}, only {', '.join(known)}")
    return named


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    cell = all_cells()[options.cell]
    named = named_arms(cell, options.arms)
    folder = claimed(options.out, cell)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda" and not options.eager:
        compile_pieces()
    say(f"{LABEL}: {cell.name} on {machine(device)['device']}")
    try:
        run = CellRun(cell, folder, device, BEGAN + options.seconds, named)
    except TooFewPairs as problem:
        say(f"no go: {problem}")
        return 1
    failed = [check.name for check in run.check_base() if not check.passed]
    if cell.known_to_fail:
        say(f"no arm of {cell.name} has an outcome, since every base fails: {'; '.join(cell.known_to_fail)}")
    if failed and not options.despite_checks:
        say(f"no go: {'; '.join(failed)}. Change the world, or pass --despite-checks")
        return 1
    if options.base_only:
        return 0
    return 0 if run.run_arms() else 3


if __name__ == "__main__":
    sys.exit(main())
