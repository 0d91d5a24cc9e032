"""Traces of the base in the gate worlds: solving in world A and in world S, and judging."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.lab.worlds.base import TOKENS, Problems, Traces, compact, uniform
from benchmarks.lab.worlds.gate_facts import (
    CHOICES,
    KEYS,
    LABELS,
    MOST_GATES,
    NO,
    RULE,
    USE,
    YES,
    GateConfig,
    GateFacts,
)


@dataclass(frozen=True)
class Habits:
    """Chances of each row [N], and the most rechecks of one line (world A) or of one gate (world S) in a row."""

    suspicious: Tensor
    otherwise: Tensor
    second_pass: Tensor
    in_a_row: int


class GateTracer:
    """Writes one batch of traces. Pieces of a trace are [N, tokens], with -1 where nothing is written."""

    def __init__(self, config: GateConfig, facts: GateFacts, problems: Problems, draw: torch.Generator) -> None:
        self.config, self.facts, self.problems, self.draw = config, facts, problems, draw
        self.rows, self.device = len(problems["rule"]), problems["rule"].device
        self.everywhere = torch.ones(self.rows, dtype=torch.bool, device=self.device)
        self.pieces: list[Tensor] = []

    def solve(self, habits: Habits) -> Traces:
        gate_of = self._listed if self.config.lists_all else self._first_taken
        picks = [gate_of(gate, habits) for gate in range(self.config.gates)]
        if not self.config.lists_all:
            picks = self._second_pass(picks, self._chance(habits.second_pass))
        self._write(TOKENS.answer, self.everywhere)
        for pick in picks:
            self._write(KEYS + pick, self.everywhere)
        self._write(TOKENS.end, self.everywhere)
        return compact(torch.cat(self.pieces, 1))

    def judge(self, candidate: Tensor) -> Traces:
        """Checks the keys shown and stops at the first that is not taken. Some verdicts are guessed."""
        guess, coin = self._chance(self.config.judge_guesses), self._chance(0.5)
        taken = self.everywhere
        for gate in range(self.config.gates):
            taken = taken & self._line(gate, candidate[:, gate], taken & ~guess)
        right = torch.where(guess, coin, taken)
        self._write(TOKENS.verdict, self.everywhere)
        self._write(torch.where(right, TOKENS.right, TOKENS.wrong), self.everywhere)
        self._write(TOKENS.end, self.everywhere)
        return compact(torch.cat(self.pieces, 1))

    def _first_taken(self, gate: int, habits: Habits) -> Tensor:
        """World A: the first key that is taken. A recheck replaces the verdict of its line."""
        open_, pick = self.everywhere, self._any_choice(gate)
        rechecks = torch.zeros_like(pick)
        for choice in range(CHOICES):
            key = self.problems["choices"][:, gate, choice]
            taken, asks = self._line(gate, key, open_), open_
            for _ in range(habits.in_a_row):
                chance = torch.where(taken, habits.suspicious, habits.otherwise)
                asks = asks & (rechecks < self.config.most_rechecks) & self._chance(chance)
                self._write(TOKENS.recheck, asks)
                taken = torch.where(asks, self._line(gate, key, asks), taken)
                rechecks = rechecks + asks
            pick = torch.where(open_ & taken, key, pick)
            open_ = open_ & ~taken
        self._use(pick, self.everywhere)
        return pick

    def _listed(self, gate: int, habits: Habits) -> Tensor:
        """World S: all keys are checked, and checked again while a recheck is asked for."""
        taken = self._list(gate, self.everywhere)
        asks = self.everywhere
        for _ in range(min(habits.in_a_row, self.config.most_rechecks)):
            chance = torch.where(taken.sum(1) == 1, habits.otherwise, habits.suspicious)
            asks = asks & self._chance(chance)
            self._write(TOKENS.recheck, asks)
            taken = torch.where(asks[:, None], self._list(gate, asks), taken)
        pick = self._any_choice(gate, taken)
        self._use(pick, self.everywhere)
        return pick

    def _list(self, gate: int, here: Tensor) -> Tensor:
        choices = self.problems["choices"][:, gate]
        return torch.stack([self._line(gate, choices[:, choice], here) for choice in range(CHOICES)], 1)

    def _second_pass(self, picks: list[Tensor], here: Tensor) -> list[Tensor]:
        self._write(TOKENS.again, here)
        return [self._repaired(gate, pick, here) for gate, pick in enumerate(picks)]

    def _repaired(self, gate: int, pick: Tensor, here: Tensor) -> Tensor:
        """Checks the pick again. If it is not taken, the next key that is taken replaces it."""
        choices = self.problems["choices"][:, gate]
        place = (choices == pick[:, None]).to(torch.uint8).argmax(1)
        open_ = here & ~self._line(gate, pick, here)
        for step in range(1, CHOICES):
            key = choices.gather(1, (place[:, None] + step) % CHOICES)[:, 0]
            taken = open_ & self._line(gate, key, open_)
            pick, open_ = torch.where(taken, key, pick), open_ & ~taken
        self._use(pick, here)
        return pick

    def _line(self, gate: int, key: Tensor, here: Tensor) -> Tensor:
        """Writes a check where ``here``. Returns where the base takes the key: its verdict is what the gate asks."""
        rule, own, forbidden = (self.problems[name][:, gate] for name in ("rule", "key", "forbidden"))
        allows = self.facts.verdict(rule, own, key, self.draw)
        label = LABELS + gate + MOST_GATES * forbidden
        line = torch.stack((label, KEYS + own, RULE + rule, KEYS + key, torch.where(allows, YES, NO)), 1)
        self.pieces.append(torch.where(here[:, None], line, -1))
        return allows != forbidden

    def _use(self, pick: Tensor, here: Tensor) -> None:
        self._write(USE, here)
        self._write(KEYS + pick, here)

    def _any_choice(self, gate: int, among: Tensor | None = None) -> Tensor:
        """One key of the gate by chance, of those in ``among`` [N, CHOICES] where it has any."""
        noise = uniform((self.rows, CHOICES), self.draw)
        noise = noise if among is None else noise + among
        return self.problems["choices"][:, gate].gather(1, noise.argmax(1, keepdim=True))[:, 0]

    def _chance(self, chance: Tensor | float) -> Tensor:
        return uniform(self.rows, self.draw) < chance

    def _write(self, token: int | Tensor, where: Tensor) -> None:
        filled = torch.as_tensor(token, device=self.device).expand(where.shape)
        self.pieces.append(torch.where(where, filled, -1)[:, None])
