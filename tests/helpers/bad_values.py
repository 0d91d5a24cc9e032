"""Wrong values of every configuration key, made from the key's type and domain by a fixed seed."""

import random
import typing
from enum import Enum

from judgerlvr.config.domains import Choice, Either, FolderName, Items, Pattern, Range, Text
from judgerlvr.config.load import domains, key_types

NOT_NUMBERS = ("many", "1,5", "0x10", "1 2", "", "[1]", "{a: 1}", "1e", "--1", "true", "nan", ".inf", "-.inf", "1_000")
NOT_SWITCHES = ("yes", "no", "on", "1", "0", "", "maybe", "[true]", "t", "none", "True!", "nil")
CONTROL = ("a\nb", "a\x00b", "\x1b[31m", "a\x7fb", "\ud800", "a\tb\r")
WRONG_LISTS = ("word", "[a, [b]]", "[a", "{a: 1}", "[{a: b}]", "'quoted'")


def outside(bounds: Range, draw: random.Random, whole: bool) -> str:
    """A number beyond a bound, written as a person would."""
    low = bounds.least if bounds.least is not None else bounds.above
    high = bounds.most if bounds.most is not None else bounds.below
    sides = [side for side in (low, high) if side is not None]
    side = draw.choice(sides)
    distance = draw.choice([1, 2, 7, 1000, draw.randrange(1, 10**6)]) if whole else draw.choice([0.1, 1, 1e3, 1e7])
    value = side - distance if side == low else side + distance
    if side in (bounds.above, bounds.below) and draw.random() < 0.3:
        value = side
    return str(int(value)) if whole else repr(float(value))


def bad_text(domain, draw: random.Random) -> str:
    if isinstance(domain, FolderName):
        return draw.choice([*CONTROL, "../evil", "/evil", "a/b", "..", ".", "-rf", "a\\b", " a", "x" * 300])
    if isinstance(domain, Text):
        return draw.choice(CONTROL if domain.empty else [*CONTROL, "", "   "])
    words = ["", "none of these", "stop!", "{", "\\", *CONTROL]
    return draw.choice([word for word in words if not domain.allows(word)])


def bad_value(name: str, draw: random.Random) -> str:
    """A wrong value of a key, as the text behind ``key=``."""
    kind, domain = key_types()[name], domains().get(name)
    if typing.get_origin(kind) is dict:
        return draw.choice(["word", "[a]", "{a", "3"])
    if typing.get_origin(kind) is list:
        return bad_list(domain, draw)
    if kind is bool:
        return draw.choice(NOT_SWITCHES)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return draw.choice([next(iter(kind)).value.upper(), "", "none of these", "[a]", "1"])
    if kind is str:
        return bad_text(domain, draw)
    number = domain.number if isinstance(domain, Either) else domain
    if draw.random() < 0.4:
        return draw.choice(NOT_NUMBERS + (("1.5",) if kind is int else ()))
    return outside(number, draw, kind is not float)


def bad_list(domain: Items, draw: random.Random) -> str:
    if domain.count and draw.random() < 0.5:
        return "[" + ", ".join("word" for _ in range(draw.choice([1, 3, 5]))) + "]"
    if isinstance(domain.each, Pattern | Choice) and draw.random() < 0.5:
        return draw.choice(["['', No]", "['a}b', No]", "[' Yes', No]", "[null, {}]"])
    return draw.choice(WRONG_LISTS)


def spelling_slip(name: str, draw: random.Random) -> str:
    """A key with a wrong letter."""
    at = draw.randrange(len(name))
    return name[:at] + draw.choice([letter for letter in "qzx" if letter != name[at]]) + name[at + 1 :]


def bad_overrides(count: int, seed: int) -> list[str]:
    """``count`` wrong overrides over all keys, each key about equally often."""
    draw = random.Random(seed)
    names = list(key_types())
    made = []
    while len(made) < count:
        name = names[len(made) % len(names)]
        slip = draw.random() < 0.1
        made.append(f"{spelling_slip(name, draw)}=1" if slip else f"{name}={bad_value(name, draw)}")
    return made
