"""A sampler whose responses are written by a test, so that each figure can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from benchmarks.lab.sampler import Samples
from benchmarks.lab.worlds.base import TOKENS
from benchmarks.lab.worlds.chain import LABELS, OPERATIONS, VALUES

END, VERDICT, RIGHT, WRONG, R = TOKENS.end, TOKENS.verdict, TOKENS.right, TOKENS.wrong, TOKENS.recheck
SAYS_RIGHT, SAYS_WRONG = [VERDICT, RIGHT, END], [VERDICT, WRONG, END]
NO_VERDICT, VOID = [TOKENS.fill, RIGHT, END], [R, VERDICT, RIGHT, END]  # a recheck voids a verdict
CPU = torch.device("cpu")
LENGTH = 16  # places of every written response


@dataclass
class Asked:
    """What a sampling was asked for: prompts [R, n, P] as lists, a temperature, and the style of all rows."""

    prompts: list
    temperature: float
    style: int


@dataclass
class WrittenSampler:
    """Stands in for ``Sampler``. ``write(asked, run, row)`` gives a response's tokens, without the padding."""

    runs: int
    rows: int
    write: Callable[[Asked, int, int], list[int]]
    device: torch.device = CPU
    asked: list[Asked] = field(default_factory=list)

    def run(self, weights, prompts, draw, temperature=1.0, style=None):
        styles = {0} if style is None else set(style.flatten().tolist())
        assert len(styles) == 1
        self.asked.append(Asked(prompts.tolist(), temperature, styles.pop()))
        made = [[self.write(self.asked[-1], run, row) for row in range(self.rows)] for run in range(self.runs)]
        tokens = torch.tensor([[row + [TOKENS.pad] * (LENGTH - len(row)) for row in run] for run in made])
        own = tokens != TOKENS.pad
        ended = torch.tensor([[row[-1] == END for row in run] for run in made])
        entropy = torch.tensor([len(self.asked) + run / 10 for run in range(self.runs)])
        return Samples(tokens, torch.zeros(tokens.shape), own, own.sum(-1), ended, entropy)


def answer_of(world, prompt):
    """The true answer of a solving prompt of the chain, read token by token."""
    return solution(world, prompt)[-2] - VALUES


def solution(world, prompt, miss=0):
    """A response with a line for each step of a solving prompt. The last value misses the true one by ``miss``."""
    value, slots, lines = prompt[2] - VALUES, prompt[3:-1], []
    for at in range(0, len(slots), 3):
        label, operation, operand = slots[at : at + 3]
        if label >= LABELS:
            lines += [label, VALUES + value, operation, operand]
            value = int(world.truth[operation - OPERATIONS, value, operand - VALUES])
            lines.append(VALUES + value)
    missed = VALUES + (value + miss) % world.config.modulus
    return [*lines[:-1], missed, TOKENS.answer, missed, END]
