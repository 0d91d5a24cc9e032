"""Facts of the demo's chain: values modulo 30, how reliably the base writes each fact, and the tokens of a line."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.lab.worlds.base import TOKENS, below, uniform
from benchmarks.lab.worlds.chain import pick

MOST_STEPS = 4
ADD, SUBTRACT, MULTIPLY = range(3)
LABELS = TOKENS.first_own
OPERATIONS = LABELS + MOST_STEPS
EQUALS, CLOSE, HUM = OPERATIONS + 3, OPERATIONS + 4, OPERATIONS + 5  # ``CLOSE`` ends the thinking part
VALUES = HUM + 1
AGREES, DIFFERS = TOKENS.accepted, TOKENS.refused  # a judge's marks
LINE = 6  # tokens of a line: label, value before, operation, operand, equals, value
VOCABULARY = 64


@dataclass(frozen=True)
class DemoConfig:
    """Parameters of the product's tiny world. Chances are per writing of a fact, the same in solving and in judging.

    A careful trace looks again after ``wait_if_wrong`` of wrong values and ``wait_if_right`` of right ones. A rambling
    trace looks again after ``wait_rambling`` of all values, and often goes over everything a second time.
    """

    modulus: int = 30
    least_steps: int = 2
    most_steps: int = 4
    unreliable: float = 0.70  # share of facts
    right_low: float = 0.40
    right_high: float = 0.70
    misconception: float = 0.60  # of wrong writings, the fact's one fixed wrong value. Others are any value
    reliable_right: float = 0.98
    direct: float = 0.25  # styles of the base: no second look, careful, the rest rambles
    careful: float = 0.35
    wait_if_wrong: float = 0.60
    wait_if_right: float = 0.15
    wait_rambling: float = 0.55
    second_pass: float = 0.80  # of the rambling style
    tries: int = 3  # most lines of one step of one pass
    judge_guesses: float = 0.30
    seed: int = 0


class DemoFacts:
    """Tables [operation, before, operand] on one device. ``right_chance`` is the chance of the true value."""

    def __init__(self, config: DemoConfig, device: torch.device) -> None:
        draw = torch.Generator().manual_seed(7919 * config.seed + 13)
        truth = truth_table(config.modulus)
        belief, misconception = beliefs(config, truth, draw)
        chances = value_chances(truth, belief, misconception, config)
        self.truth, self.chances = truth.to(device), chances.to(device)
        self.unreliable = (belief < config.reliable_right).to(device)
        self.right_chance = chances.gather(-1, truth[..., None])[..., 0].to(device)
        self.operands = operand_table(config.modulus).to(device)
        self.operand_counts = (self.operands > 0).sum(-1)

    def written(self, fact: tuple[Tensor, Tensor, Tensor], draw: torch.Generator) -> Tensor:
        """A value [N] as the base believes it."""
        return pick(self.chances[fact], uniform(len(fact[0]), draw))

    def problem_steps(self, size: tuple[int, int], draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Operations and their operands, each of ``size``. Each operand of an operation is as likely."""
        operation = below(3, size, draw)
        place = (uniform(size, draw) * self.operand_counts[operation]).long()
        return operation, self.operands[operation, place]


def truth_table(modulus: int) -> Tensor:
    before, operand = torch.arange(modulus)[:, None], torch.arange(modulus)[None, :]
    return torch.stack((before + operand, before - operand, before * operand)) % modulus


def operand_table(modulus: int) -> Tensor:
    """Operands of each operation, zeros behind. Products have units only, so that no product hides an error."""
    every = list(range(1, modulus))
    units = [n for n in every if n > 1 and math.gcd(n, modulus) == 1]
    return torch.tensor([every, every, units + [0] * (len(every) - len(units))])


def beliefs(config: DemoConfig, truth: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """(chance of a right writing before any slip, misconception). A reliable fact has itself as misconception."""
    size = tuple(truth.shape)
    chance = config.right_low + (config.right_high - config.right_low) * torch.rand(size, generator=draw)
    doubtful = torch.rand(size, generator=draw) < config.unreliable
    shift = 1 + torch.randint(config.modulus - 1, size, generator=draw)
    return torch.where(doubtful, chance, config.reliable_right), torch.where(
        doubtful, (truth + shift) % config.modulus, truth
    )


def value_chances(truth: Tensor, right: Tensor, misconception: Tensor, config: DemoConfig) -> Tensor:
    """Chance of each written value [operations, before, operand, value].

    A slip is any value, and by chance the right one. A reliable fact has no misconception, so all its errors are slips.
    """
    held = torch.where(misconception == truth, 0.0, (1 - right) * config.misconception)
    slips = (1 - right - held) / config.modulus
    table = slips[..., None].expand(*truth.shape, config.modulus).clone()
    table.scatter_add_(-1, truth[..., None], right[..., None])
    return table.scatter_add_(-1, misconception[..., None], held[..., None])


def is_label(token: Tensor) -> Tensor:
    return (token >= LABELS) & (token < LABELS + MOST_STEPS)


def is_operation(token: Tensor) -> Tensor:
    return (token >= OPERATIONS) & (token < EQUALS)


def is_value(token: Tensor, modulus: int) -> Tensor:
    return (token >= VALUES) & (token < VALUES + modulus)


def is_line(line: Tensor, modulus: int) -> Tensor:
    """Whether six tokens [..., LINE] state a step."""
    label, before, operation, operand, equals, value = line.unbind(-1)
    numbers = is_value(before, modulus) & is_value(operand, modulus) & is_value(value, modulus)
    return is_label(label) & is_operation(operation) & (equals == EQUALS) & numbers
