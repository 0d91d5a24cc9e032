"""Two gates by hand, and a naive tracer of the gate worlds."""

import torch

from benchmarks.lab.worlds.base import TOKENS, Traces
from benchmarks.lab.worlds.gate import GateWorld
from benchmarks.lab.worlds.gate_facts import KEYS, LABELS, MOST_GATES, NO, RULE, USE, YES, GateConfig

CPU = torch.device("cpu")
R, END, ANSWER = TOKENS.recheck, TOKENS.end, TOKENS.answer


def by_hand(right=1.0, **settings):
    """A world of two gates in which every rule allows the even keys. All facts have one chance of being right."""
    world = GateWorld(GateConfig(gates=2, **settings), CPU)
    world.facts.allowed = (torch.arange(12) % 2 == 0).expand(3, 12, 12)
    world.facts.right_chance = torch.full((3, 12, 12), right)
    world.facts.unreliable = (torch.arange(3) == 0)[:, None, None].expand(3, 12, 12)
    return world


def two_gates(polarity=False):
    """Rule 0 at key 5 with keys 1, 4, 3, and rule 2 at key 6. With polarity the second gate asks for the odd key."""
    second, gold = ([2, 8, 7], 7) if polarity else ([8, 7, 9], 8)
    tensor = torch.tensor
    return dict(
        rule=tensor([[0, 2]]),
        key=tensor([[5, 6]]),
        forbidden=tensor([[False, polarity]]),
        choices=tensor([[[1, 4, 3], second]]),
        gold=tensor([[4, gold]]),
    )


def one(key, says):
    """A line of the first gate."""
    return [LABELS, KEYS + 5, RULE, KEYS + key, says]


def two(key, says, forbidden=False):
    return [LABELS + 1 + MOST_GATES * forbidden, KEYS + 6, RULE + 2, KEYS + key, says]


def use(key):
    return [USE, KEYS + key]


def answer(*keys):
    return [ANSWER, *(KEYS + key for key in keys), END]


def traces(*parts):
    tokens = [token for part in parts for token in (part if isinstance(part, list) else [part])]
    return Traces(torch.tensor([tokens]), torch.tensor([len(tokens)]))


def naive_trace(world, problem, style, source):
    """Tokens of one solving trace, with Python's own random numbers. ``style`` is 0 direct, 1 careful, 2 thorough."""
    c, tokens, picks = world.config, [], []
    suspicious = c.suspicious if style else 0.0
    otherwise = c.otherwise if style == 2 else 0.0

    def check(gate, key):
        rule, own, forbidden = (problem[name][gate] for name in ("rule", "key", "forbidden"))
        right = source.random() < float(world.facts.right_chance[rule, own, key])
        says = bool(world.facts.allowed[rule, own, key]) == right
        label = LABELS + gate + MOST_GATES * forbidden
        tokens.extend([label, KEYS + own, RULE + rule, KEYS + key, YES if says else NO])
        return says != forbidden

    for gate in range(c.gates):
        choices, left, pick = problem["choices"][gate], c.most_rechecks, None
        if c.lists_all:
            taken = [key for key in choices if check(gate, key)]
            while left and source.random() < (otherwise if len(taken) == 1 else suspicious):
                left -= 1
                tokens.append(R)
                taken = [key for key in choices if check(gate, key)]
            pick = source.choice(taken or choices)
        else:
            for key in choices:
                taken = check(gate, key)
                while left and source.random() < (suspicious if taken else otherwise):
                    left -= 1
                    tokens.append(R)
                    taken = check(gate, key)
                if taken:
                    pick = key
                    break
            pick = source.choice(choices) if pick is None else pick
        tokens.extend(use(pick))
        picks.append(pick)
    if not c.lists_all and style == 2 and source.random() < c.second_pass:
        tokens.append(TOKENS.again)
        for gate in range(c.gates):
            choices = problem["choices"][gate]
            place = choices.index(picks[gate])
            if not check(gate, picks[gate]):
                others = choices[place + 1 :] + choices[:place]
                picks[gate] = next((key for key in others if check(gate, key)), picks[gate])
            tokens.extend(use(picks[gate]))
    return tokens + answer(*picks)
