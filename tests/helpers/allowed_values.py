"""Values that each key allows on its own, drawn by a seed. Together they may contradict each other."""

import random
import typing
from enum import Enum

from judgerlvr.config.domains import Choice, Either, Range
from judgerlvr.config.load import domains, key_types

# Keys whose values name files, words or libraries. Their combinations are other tests.
LEFT_OUT = ("model.path", "engine", "planning.measured", "reward.verifier", "judge.data.verdicts")


def numbers(bounds: Range, whole: bool) -> list[float]:
    """The bounds, and values of usual sizes between them."""
    values = [0, 1, 2, 3, 7, 16, 100, 4096, 10**6, bounds.least, bounds.most, 0.5, 0.999, 1e-8, 37.5]
    kept = [value for value in values if value is not None and bounds.allows(value)]
    return [int(value) for value in kept if value == int(value)] if whole else [float(value) for value in kept]


def allowed(name: str, draw: random.Random) -> str | None:
    """A value of a key as text, None where the key is left out."""
    kind, domain = key_types()[name], domains().get(name)
    if name == "cluster.attention":
        return draw.choice(["auto", "packed_sdpa", "eager", "sdpa", "flex_attention", "flash_attention_2", "a/kernel"])
    if name in LEFT_OUT or typing.get_origin(kind) in (dict, list):
        return None
    if kind is bool:
        return draw.choice(["true", "false"])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return draw.choice([member.value for member in kind])
    if isinstance(domain, Choice):
        return draw.choice(domain.words)
    if isinstance(domain, Either):
        return draw.choice([domain.word, *map(str, numbers(domain.number, True))])
    if isinstance(domain, Range):
        return str(draw.choice(numbers(domain, kind is not float)))
    return None


def combinations(count: int, seed: int, size: int = 2) -> list[list[str]]:
    """``count`` lists of ``size`` overrides of different keys. Keys of a section come together more often."""
    draw = random.Random(seed)
    names = [name for name in key_types() if allowed(name, draw) is not None]
    made = []
    while len(made) < count:
        first = draw.choice(names)
        near = [name for name in names if name.rpartition(".")[0] == first.rpartition(".")[0]]
        others = draw.sample(near if draw.random() < 0.5 and len(near) >= size else names, size)
        chosen = [first, *(name for name in others if name != first)][:size]
        made.append([f"{name}={allowed(name, draw)}" for name in chosen])
    return made
