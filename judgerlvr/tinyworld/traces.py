"""Responses of the base model: solving in three styles, and judging. Text in, text out."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from judgerlvr.tinyworld.task import VARIABLES, Chain, World
from judgerlvr.tinyworld.trace_parsing import Line


class Style(StrEnum):
    """How much a solving trace explores before the answer."""

    DIRECT = "direct"  # every step once
    CAREFUL = "careful"  # `wait` and the step once more, likelier after a wrong value
    RAMBLING = "rambling"  # `wait` regardless of the value, and often a second pass over everything


@dataclass(frozen=True)
class TraceConfig:
    """Shares and chances of the base model's habits."""

    direct: float = 0.25
    careful: float = 0.35
    wait_if_wrong: float = 0.60
    wait_if_right: float = 0.15
    wait_rambling: float = 0.55
    second_pass: float = 0.80
    tries: int = 3  # at most this many lines for one step of one pass
    guess: float = 0.30  # judge traces that give a verdict without checking


class Tracer:
    """Draws traces of one world. All randomness comes from the ``random.Random`` of each call."""

    def __init__(self, world: World, config: TraceConfig | None = None) -> None:
        self.world = world
        self.config = config or TraceConfig()

    def style(self, draw: random.Random) -> Style:
        point = draw.random()
        if point < self.config.direct:
            return Style.DIRECT
        return Style.CAREFUL if point < self.config.direct + self.config.careful else Style.RAMBLING

    def solve(self, draw: random.Random, chain: Chain, style: Style | None = None) -> str:
        """A whole response: thinking in ``style``, or in a random style, and then the solution of the last pass."""
        style = style or self.style(draw)
        thinking, final = self._pass(draw, chain, style)
        if style is Style.RAMBLING:
            thinking = ["hmm", *thinking]
            if draw.random() < self.config.second_pass:
                again, final = self._pass(draw, chain, style)
                thinking += ["check", *again]
        return respond(thinking, [*map(str, final), f"\\boxed{{{final[-1].result}}}"])

    def judge(self, draw: random.Random, chain: Chain, shown: list[Line]) -> str:
        """A judging response: recompute the shown steps, stop at the first step that differs, give the verdict."""
        if draw.random() < self.config.guess:
            return respond([], [verdict(draw.random() < 0.5)])
        checks, value = [], chain.start
        for (operation, operand), step in zip(chain.steps, shown, strict=True):
            line = Line(step.variable, value, operation, operand, self.world.state(draw, operation, value, operand))
            agrees = line.result == step.result
            checks.append(f"{line} {'ok' if agrees else 'bad'}")
            if not agrees:
                return respond(checks, [verdict(False)])
            value = step.result
        return respond(checks, [verdict(True)])

    def _pass(self, draw: random.Random, chain: Chain, style: Style) -> tuple[list[str], list[Line]]:
        """One pass over the chain: all lines of thinking, and the line that stands for each step."""
        thinking: list[str] = []
        final: list[Line] = []
        value = chain.start
        for index, (operation, operand) in enumerate(chain.steps):
            for tried in range(self.config.tries):
                result = self.world.state(draw, operation, value, operand)
                line = Line(VARIABLES[index + 1], value, operation, operand, result)
                thinking.append(str(line))
                right = result == self.world.facts[operation, value, operand].value
                if tried + 1 == self.config.tries or draw.random() >= self._chance_of_wait(style, right):
                    break
                thinking.append("wait")
            final.append(line)
            value = line.result
        return thinking, final

    def _chance_of_wait(self, style: Style, right: bool) -> float:
        if style is Style.DIRECT:
            return 0.0
        if style is Style.RAMBLING:
            return self.config.wait_rambling
        return self.config.wait_if_right if right else self.config.wait_if_wrong


def verdict(correct: bool) -> str:
    return f"\\boxed{{{'Yes' if correct else 'No'}}}"


def respond(thinking: list[str], solution: list[str]) -> str:
    """Thinking between think tags, then the solution part, a line each."""
    return "\n".join(["<think>", *thinking, "</think>", *solution])
