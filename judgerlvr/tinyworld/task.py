"""The world: chains of modular operations, and the base model's belief about each single fact."""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

OPERATIONS = "+-*"
VARIABLES = "abcdefghijklmnopqrstuvwxyz"
_TEXT = re.compile(r"mod (\d+)\na=(\d+)((?:\n[a-z]=[a-z][-+*]\d+)+)\n[a-z]\?")
_STEP = re.compile(r"\n[a-z]=[a-z]([-+*])(\d+)")


@dataclass(frozen=True)
class WorldConfig:
    """Which problems exist, and how reliable the written facts are.

    ``unreliable`` is a share of the facts. Each unreliable fact is written right with its own probability, drawn from
    [right_low, right_high]. A wrong value is the fact's one fixed misconception with probability ``misconception``,
    else any other number. The spread matters: a greedy decoder then repairs only the facts above one half.
    """

    modulus: int = 30
    min_steps: int = 2
    max_steps: int = 4
    unreliable: float = 0.7
    right_low: float = 0.4
    right_high: float = 0.7
    misconception: float = 0.6
    reliable_right: float = 0.98
    seed: int = 1234


@dataclass(frozen=True)
class Chain:
    """A problem: a start value, then an (operation, operand) for each further variable, all modulo ``modulus``."""

    modulus: int
    start: int
    steps: tuple[tuple[str, int], ...]

    @property
    def text(self) -> str:
        lines = [f"mod {self.modulus}", f"a={self.start}"]
        for index, (operation, operand) in enumerate(self.steps):
            lines.append(f"{VARIABLES[index + 1]}={VARIABLES[index]}{operation}{operand}")
        return "\n".join([*lines, f"{VARIABLES[len(self.steps)]}?"])

    @property
    def values(self) -> list[int]:
        """True values of all variables, the start first."""
        values = [self.start]
        for operation, operand in self.steps:
            values.append(compute(operation, values[-1], operand, self.modulus))
        return values

    @property
    def answer(self) -> int:
        return self.values[-1]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def held_out(self) -> bool:
        """True for about one problem in ten. The problem's own text decides, so no seed can mix the splits."""
        return int(self.digest[:8], 16) % 10 == 0


def parse_chain(text: str) -> Chain:
    """Inverse of ``Chain.text``.

    Raises:
        ValueError: the text is not a problem of this world.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"not a chain: {text!r}")
    steps = tuple((operation, int(operand)) for operation, operand in _STEP.findall(found[3]))
    return Chain(int(found[1]), int(found[2]), steps)


def compute(operation: str, left: int, right: int, modulus: int) -> int:
    if operation == "+":
        return (left + right) % modulus
    return (left - right if operation == "-" else left * right) % modulus


@dataclass(frozen=True)
class Fact:
    """One (operation, left, right): its value, the chance of writing the value right, and the usual wrong value."""

    value: int
    right: float
    misconception: int | None


@dataclass
class World:
    """Facts drawn once from the config's seed, and random problems over them."""

    config: WorldConfig = field(default_factory=WorldConfig)
    facts: dict[tuple[str, int, int], Fact] = field(init=False)

    def __post_init__(self) -> None:
        draw = random.Random(self.config.seed)
        self.facts = {key: self._draw_fact(draw, *key) for key in self._keys()}

    def operands(self, operation: str) -> list[int]:
        """Right operands. Products use units only. A later product must not undo an earlier error, because the label of
        a solution (its final answer) would then contradict its steps.
        """
        modulus = self.config.modulus
        return [n for n in range(1, modulus) if operation != "*" or (n > 1 and math.gcd(n, modulus) == 1)]

    def state(self, draw: random.Random, operation: str, left: int, right: int) -> int:
        """The value written for a fact. Generate and judge traces both call this method, for equal reliability."""
        fact = self.facts[operation, left, right]
        if draw.random() < fact.right:
            return fact.value
        if fact.misconception is not None and draw.random() < self.config.misconception:
            return fact.misconception
        return draw.randrange(self.config.modulus)

    def sample(self, draw: random.Random) -> Chain:
        """A random problem of either split."""
        length = draw.randint(self.config.min_steps, self.config.max_steps)
        operations = [draw.choice(OPERATIONS) for _ in range(length)]
        steps = tuple((operation, draw.choice(self.operands(operation))) for operation in operations)
        return Chain(self.config.modulus, draw.randrange(self.config.modulus), steps)

    def sample_split(self, draw: random.Random, held_out: bool) -> Chain:
        while (chain := self.sample(draw)).held_out != held_out:
            pass
        return chain

    def _keys(self) -> Iterator[tuple[str, int, int]]:
        for operation in OPERATIONS:
            for left in range(self.config.modulus):
                for right in self.operands(operation):
                    yield operation, left, right

    def _draw_fact(self, draw: random.Random, operation: str, left: int, right: int) -> Fact:
        config = self.config
        value = compute(operation, left, right, config.modulus)
        if draw.random() >= config.unreliable:
            return Fact(value, config.reliable_right, None)
        wrong = (value + draw.randrange(1, config.modulus)) % config.modulus
        return Fact(value, draw.uniform(config.right_low, config.right_high), wrong)
