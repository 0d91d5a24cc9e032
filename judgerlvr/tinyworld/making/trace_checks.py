"""Whether a response really copies operands, restates its thinking, and judges by its checks."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from judgerlvr.tinyworld.task import VARIABLES, Chain, World
from judgerlvr.tinyworld.trace_parsing import Line, Response


@dataclass(frozen=True)
class Shown:
    """A solution that the judge is shown."""

    chain: Chain
    response: Response
    correct: bool

    @property
    def results(self) -> dict[str, int]:
        """The value that the solution gives to each variable."""
        return {line.variable: line.result for line in self.response.solution}


def copies_operands(chain: Chain, line: Line, known: dict[str, int]) -> bool:
    """Whether a line takes its left operand from the variable before it and the rest from the problem."""
    at = VARIABLES.index(line.variable)
    if not 0 < at <= len(chain.steps):
        return False
    return known.get(VARIABLES[at - 1]) == line.left and chain.steps[at - 1] == (line.operation, line.right)


def solving_copies(chain: Chain, lines: Iterable[Line]) -> Iterator[bool]:
    """One outcome a line. A variable has its latest value."""
    known = {VARIABLES[0]: chain.start}
    for line in lines:
        yield copies_operands(chain, line, known)
        known[line.variable] = line.result


def judging_copies(shown: Shown, judged: Response) -> Iterator[bool]:
    """One outcome a line. A variable has the value that the shown solution gives."""
    known = {VARIABLES[0]: shown.chain.start} | shown.results
    return (copies_operands(shown.chain, line, known) for line in judged.thinking)


def restates(response: Response) -> bool:
    """Whether the solution repeats the last thinking line of each variable and boxes its last result."""
    last = {line.variable: line for line in response.thinking}
    lines = response.solution
    repeated = bool(lines) and all(last.get(line.variable) == line for line in lines)
    return repeated and response.box == str(lines[-1].result)


def consistent(shown: Shown, judged: Response) -> bool:
    """Whether marks and verdict follow from the judge's own recomputation."""
    theirs = shown.results
    marks = [line.mark == ("ok" if theirs.get(line.variable) == line.result else "bad") for line in judged.thinking]
    all_ok = all(line.mark == "ok" for line in judged.thinking)
    complete = len(judged.thinking) == len(shown.chain.steps) or not all_ok
    return all(marks) and complete and judged.box == ("Yes" if all_ok else "No")


def stated(world: World, responses: Iterable[Response]) -> Iterator[bool]:
    """Whether the first line of each response gives its fact's value, for lines about an unreliable fact."""
    for response in responses:
        for line in response.thinking[:1]:
            fact = world.facts.get((line.operation, line.left, line.right))
            if fact is not None and fact.misconception is not None:
                yield line.result == fact.value


def judge_set(chains: list[Chain], responses: list[Response], each: int, draw: random.Random) -> list[Shown]:
    """A right and a wrong well-formed solution of every problem that has both.

    ``each`` responses to the same problem lie side by side.
    """
    chosen: list[Shown] = []
    for at in range(0, len(chains), each):
        chain = chains[at]
        formed = [r for r in responses[at : at + each] if r.box and len(r.solution) == len(chain.steps)]
        right = [r for r in formed if r.box == str(chain.answer)]
        wrong = [r for r in formed if r.box != str(chain.answer)]
        if right and wrong:
            chosen += [Shown(chain, draw.choice(right), True), Shown(chain, draw.choice(wrong), False)]
    return chosen
