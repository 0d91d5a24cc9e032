"""Traces of the base in the demo's chain: solving in three styles, and judging."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.lab.worlds.base import TOKENS, Problems, Traces, compact, uniform
from benchmarks.lab.worlds.demo_facts import (
    AGREES,
    CLOSE,
    DIFFERS,
    EQUALS,
    HUM,
    LABELS,
    OPERATIONS,
    VALUES,
    DemoConfig,
    DemoFacts,
)


@dataclass(frozen=True)
class Habits:
    """Of each row [N]: chances of a second look after a right and after a wrong value, humming, a second pass."""

    wait_if_right: Tensor
    wait_if_wrong: Tensor
    hums: Tensor
    twice: Tensor


class DemoTracer:
    """Writes one batch of traces. Pieces of a trace are [N, tokens], with -1 where nothing is written."""

    def __init__(self, config: DemoConfig, facts: DemoFacts, problems: Problems, draw: torch.Generator) -> None:
        self.config, self.facts, self.problems, self.draw = config, facts, problems, draw
        self.rows, self.device = len(problems["steps"]), problems["steps"].device
        self.everywhere = torch.ones(self.rows, dtype=torch.bool, device=self.device)
        self.pieces: list[Tensor] = []

    def solve(self, habits: Habits) -> Traces:
        """The thinking part, and a solution that restates the last pass."""
        self._write(HUM, habits.hums)
        final = self._pass(habits, self.everywhere)
        self._write(TOKENS.again, habits.twice)
        again = self._pass(habits, habits.twice)
        final = torch.where(habits.twice[:, None], again, final)
        self._write(CLOSE, self.everywhere)
        self._restate(final)
        last = final.gather(1, self.problems["steps"][:, None] - 1)[:, 0]
        return self._ended(TOKENS.answer, VALUES + last)

    def judge(self, candidate: Tensor) -> Traces:
        """Recomputes the steps shown and stops at the first that differs. Some verdicts are guessed."""
        guess, coin = self._chance(self.config.judge_guesses), self._chance(0.5)
        agrees, before = self.everywhere, self.problems["start"]
        for step in range(self.config.most_steps):
            here = agrees & ~guess & self._has(step)
            value = self.facts.written(self._fact(step, before), self.draw)
            same = value == candidate[:, step]
            self._line(step, before, value, here)
            self._write(torch.where(same, AGREES, DIFFERS), here)
            agrees, before = agrees & (same | ~here), candidate[:, step]
        right = torch.where(guess, coin, agrees)
        return self._ended(TOKENS.verdict, torch.where(right, TOKENS.right, TOKENS.wrong))

    def _pass(self, habits: Habits, active: Tensor) -> Tensor:
        """One pass over the chain for the rows in ``active``. Returns the value that stands for each step."""
        before, final = self.problems["start"], []
        for step in range(self.config.most_steps):
            here, fact = active & self._has(step), self._fact(step, before)
            value = self._stated(step, before, fact, here)
            for _ in range(self.config.tries - 1):
                right = value == self.facts.truth[fact]
                here = here & self._chance(torch.where(right, habits.wait_if_right, habits.wait_if_wrong))
                self._write(TOKENS.recheck, here)
                value = torch.where(here, self._stated(step, before, fact, here), value)
            final.append(value)
            before = value
        return torch.stack(final, 1)

    def _stated(self, step: int, before: Tensor, fact: tuple[Tensor, Tensor, Tensor], here: Tensor) -> Tensor:
        value = self.facts.written(fact, self.draw)
        self._line(step, before, value, here)
        return value

    def _restate(self, final: Tensor) -> None:
        before = self.problems["start"]
        for step in range(self.config.most_steps):
            self._line(step, before, final[:, step], self._has(step))
            before = final[:, step]

    def _has(self, step: int) -> Tensor:
        return step < self.problems["steps"]

    def _fact(self, step: int, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.problems["operation"][:, step], before, self.problems["operand"][:, step]

    def _line(self, step: int, before: Tensor, value: Tensor, here: Tensor) -> None:
        operation, _, operand = self._fact(step, before)
        label, equals = torch.full_like(value, LABELS + step), torch.full_like(value, EQUALS)
        parts = (label, VALUES + before, OPERATIONS + operation, VALUES + operand, equals, VALUES + value)
        self.pieces.append(torch.where(here[:, None], torch.stack(parts, 1), -1))

    def _ended(self, *tokens: int | Tensor) -> Traces:
        for token in (*tokens, TOKENS.end):
            self._write(token, self.everywhere)
        return compact(torch.cat(self.pieces, 1))

    def _chance(self, chance: Tensor | float) -> Tensor:
        return uniform(self.rows, self.draw) < chance

    def _write(self, token: int | Tensor, where: Tensor) -> None:
        filled = torch.as_tensor(token, device=self.device).expand(where.shape)
        self.pieces.append(torch.where(where, filled, -1)[:, None])
