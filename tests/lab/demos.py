"""Two steps by hand, and a naive tracer of the demo's chain."""

import torch

from benchmarks.lab.worlds.base import TOKENS, Traces
from benchmarks.lab.worlds.demo import DemoWorld
from benchmarks.lab.worlds.demo_facts import (
    ADD,
    CLOSE,
    EQUALS,
    HUM,
    LABELS,
    MULTIPLY,
    OPERATIONS,
    VALUES,
    DemoConfig,
)

CPU = torch.device("cpu")
WAIT, CHECK, ANSWER, END = TOKENS.recheck, TOKENS.again, TOKENS.answer, TOKENS.end
SIGNS = {"*": MULTIPLY, "+": ADD}


def by_hand(right=1.0, **settings):
    """Every fact is written right with one chance, and otherwise as one more than right."""
    world = DemoWorld(DemoConfig(**settings), CPU)
    modulus, truth = world.config.modulus, world.facts.truth
    hot = torch.nn.functional.one_hot
    world.facts.chances = right * hot(truth, modulus) + (1 - right) * hot((truth + 1) % modulus, modulus)
    world.facts.right_chance = torch.full(truth.shape, right)
    world.facts.unreliable = (torch.arange(3) == MULTIPLY)[:, None, None].expand(truth.shape)
    return world


def two_steps():
    """7 * 11 = 17, then 17 + 5 = 22, modulo 30."""
    tensor = torch.tensor
    return dict(
        steps=tensor([2]),
        start=tensor([7]),
        operation=tensor([[MULTIPLY, ADD, ADD, ADD]]),
        operand=tensor([[11, 5, 1, 1]]),
        gold=tensor([[17, 22, 23, 24]]),
        answer=tensor([22]),
    )


def line(step, before, sign, operand, value):
    return [LABELS + step, VALUES + before, OPERATIONS + SIGNS[sign], VALUES + operand, EQUALS, VALUES + value]


def first(value=17):
    return line(0, 7, "*", 11, value)


def second(value=22, before=17):
    return line(1, before, "+", 5, value)


def answer(value=22):
    return [ANSWER, VALUES + value, END]


def said(verdict):
    return [TOKENS.verdict, verdict, END]


def traces(*parts):
    tokens = [token for part in parts for token in (part if isinstance(part, list) else [part])]
    return Traces(torch.tensor([tokens]), torch.tensor([len(tokens)]))


def naive_trace(world, problem, style, source):
    """Tokens of one solving trace, with Python's own random numbers. ``style`` is 0 direct, 1 careful, 2 rambling."""
    c, tokens = world.config, []

    def one_pass():
        value, final = problem["start"], []
        for step in range(problem["steps"]):
            operation, operand = problem["operation"][step], problem["operand"][step]
            for tried in range(c.tries):
                chances = world.facts.chances[operation, value, operand].tolist()
                (result,) = source.choices(range(c.modulus), chances)
                stated = [VALUES + value, OPERATIONS + operation, VALUES + operand, EQUALS, VALUES + result]
                written = [LABELS + step, *stated]
                tokens.extend(written)
                right = result == int(world.facts.truth[operation, value, operand])
                chance = (0.0, c.wait_if_right if right else c.wait_if_wrong, c.wait_rambling)[style]
                if tried + 1 == c.tries or source.random() >= chance:
                    break
                tokens.append(WAIT)
            final.append(written)
            value = result
        return final, value

    if style == 2:
        tokens.append(HUM)
    final, value = one_pass()
    if style == 2 and source.random() < c.second_pass:
        tokens.append(CHECK)
        final, value = one_pass()
    return [*tokens, CLOSE, *(token for written in final for token in written), ANSWER, VALUES + value, END]
