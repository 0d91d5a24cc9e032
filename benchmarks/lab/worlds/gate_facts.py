"""Facts of the gate worlds: which keys a rule allows, how reliably the base knows so, and the tokens of a line."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.lab.worlds.base import TOKENS, uniform

CHOICES, RULES, MOST_GATES = 3, 3, 4
LABELS = TOKENS.first_own  # one token for each gate, and another one where the gate asks for the forbidden key
RULE = LABELS + 2 * MOST_GATES
YES, NO, USE = RULE + RULES, RULE + RULES + 1, RULE + RULES + 2
KEYS = USE + 1
LINE = 5  # tokens of a line: label, key of the gate, rule, key checked, yes or no
VOCABULARY = 64
SWAPS = 10  # tries for each pair of a table, so that no pattern of the first table is left
DIAGONALS = ([True, False, False, True], [False, True, True, False])  # squares whose turning keeps all sums


@dataclass(frozen=True)
class GateConfig:
    """Parameters of one gate world. Chances are per check of a fact, the same in solving and in judging.

    ``suspicious`` is the chance that a careful style rechecks what looks like an error. In world A that is a key taken,
    in world S a gate of which no key or several keys are taken. A thorough style rechecks other places too, with the
    chance ``otherwise``.
    """

    lists_all: bool = False  # world S. World A stops at the first key that it takes
    polarity: bool = False  # half of the gates ask for a forbidden key
    keys: int = 12
    gates: int = 4
    allowed: int = 5  # keys that a rule allows for one key of a gate
    unreliable: float = 0.65  # share of facts
    right_low: float = 0.30
    right_high: float = 0.60
    reliable_right: float = 0.98
    direct: float = 0.30  # styles of the base: no recheck, rechecks where suspicious, the rest is thorough
    careful: float = 0.35
    suspicious: float = 0.50
    otherwise: float = 0.17
    second_pass: float = 0.60  # of the thorough style, in world A only
    most_rechecks: int = 3  # of one gate
    judge_guesses: float = 0.30
    seed: int = 0


class GateFacts:
    """Tables [rule, key of the gate, key checked] on one device."""

    def __init__(self, config: GateConfig, device: torch.device) -> None:
        draw = torch.Generator().manual_seed(7919 * config.seed + 13)
        self.allowed = torch.stack([allowed_table(config.keys, config.allowed, draw) for _ in range(RULES)]).to(device)
        self.right_chance = beliefs(config, draw).to(device)
        self.unreliable = self.right_chance < config.reliable_right

    def verdict(self, rule: Tensor, key: Tensor, checked: Tensor, draw: torch.Generator) -> Tensor:
        """Whether the base says that the rule allows the key, by its belief about the fact [N]."""
        right = uniform(len(rule), draw) < self.right_chance[rule, key, checked]
        return self.allowed[rule, key, checked] == right


def allowed_table(keys: int, allowed: int, draw: torch.Generator) -> Tensor:
    """True where allowed [keys, keys], as often in each row as in each column.

    A key that is allowed more often than others would tell a judge the verdict without knowledge of facts.
    """
    key = torch.arange(keys)
    table = (key[:, None] + key[None, :]) % keys < allowed
    for _ in range(SWAPS * keys * keys):
        rows, columns = (torch.randperm(keys, generator=draw)[:2] for _ in range(2))
        square = table[rows[:, None], columns]
        if square.flatten().tolist() in DIAGONALS:
            table[rows[:, None], columns] = ~square
    return table


def beliefs(config: GateConfig, draw: torch.Generator) -> Tensor:
    """Chance that a check of each fact is right."""
    size = (RULES, config.keys, config.keys)
    chance = config.right_low + (config.right_high - config.right_low) * torch.rand(size, generator=draw)
    return torch.where(torch.rand(size, generator=draw) < config.unreliable, chance, config.reliable_right)


def is_label(token: Tensor) -> Tensor:
    return (token >= LABELS) & (token < LABELS + 2 * MOST_GATES)


def is_rule(token: Tensor) -> Tensor:
    return (token >= RULE) & (token < RULE + RULES)


def is_key(token: Tensor, keys: int) -> Tensor:
    return (token >= KEYS) & (token < KEYS + keys)


def is_verdict(token: Tensor) -> Tensor:
    return (token == YES) | (token == NO)


def asks_forbidden(label: Tensor) -> Tensor:
    """Whether a label token is of a gate that asks for the forbidden key."""
    return label >= LABELS + MOST_GATES
