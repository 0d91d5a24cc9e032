"""What the fields of a stored file may be. Every file of a record is checked here, once, when it is read.

The writer stores null for a number that is none. Some shares have such a value, because nothing was counted. Accuracy,
tokens and entropy have one only where the weights of a run are no numbers any more, so that the run diverged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.lab.arms import StepKind
from benchmarks.lab.checks import LAST
from benchmarks.lab.evaluation import DENOMINATORS, TEMPERATURES, prefix_of

STAGE = re.compile(rf"base|\d+-({'|'.join(StepKind)})")
SAMPLED = ("accuracy", "tokens", "entropy")
ALWAYS = (
    *(prefix + name for prefix in ("", "greedy_", "none_", "every_") for name in SAMPLED),
    *("sampled_tokens", "seconds", "well_formed", "truncated", "mixed_groups", "rechecks"),
    *("judge_balanced", "judge_false_yes", "judge_false_no", "unreliable_right", "judge_unreliable_right"),
)
HEATED = tuple(prefix_of(heat) + name for heat in TEMPERATURES for name in SAMPLED)
UNCOUNTED = {*DENOMINATORS, *(f"judge_{name}" for name in DENOMINATORS)}  # null where nothing was counted
DIVERGED = "null, so the weights of the run were no numbers and the run diverged"
SHOWN = 40

Fault = tuple[str, str]  # field, and what is wrong with its value
Rule = Callable[[Any, str], Iterator[Fault]]


def faults(content: dict[str, Any], runs: bool) -> Iterator[Fault]:
    """Fields whose values no command could use. The runs of a complete octet are read where ``runs`` says so."""
    for name, rule in RULES.items():
        if name in content:
            yield from rule(content[name], name)
    if runs and content.get("complete") is True:
        yield from _runs(content.get("runs"), "runs")


def one_of(said: str, passes: Callable[[Any], bool]) -> Rule:
    def rule(value: Any, name: str) -> Iterator[Fault]:
        if not passes(value):
            yield name, f"{_shown(value)}, not {said}"

    return rule


def is_number(value: Any) -> bool:
    """A finite number that is not negative, as every figure is."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def is_count(value: Any) -> bool:
    return is_number(value) and isinstance(value, int)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = "null" if value is None else repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


TEXT = one_of("a word", lambda value: isinstance(value, str))
NUMBER = one_of("a number of 0 or more", is_number)
COUNT = one_of("a whole number of 0 or more", is_count)
SWITCH = one_of("true or false", lambda value: isinstance(value, bool))
RATE = one_of("a number above 0", lambda value: is_number(value) and value > 0)
ABOVE_ZERO = {prefix + "tokens" for prefix in ("", "greedy_", "none_", "every_", *map(prefix_of, TEMPERATURES))}
# Differences are checked too, and a check has no bound where it lacks the key.
SIGNED = one_of("a number", lambda value: is_number(value) or (value is not None and is_number(_negated(value))))


def _negated(value: Any) -> Any:
    return -value if isinstance(value, int | float) else value


def _object(value: Any, name: str, rules: dict[str, Rule], needed: tuple[str, ...]) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield name, f"{_shown(value)}, not an object"
        return
    yield from ((f"{name}.{key}", "missing") for key in needed if key not in value)
    for key, rule in rules.items():
        if key in value:
            yield from rule(value[key], f"{name}.{key}")


def object_of(rules: dict[str, Rule], *needed: str) -> Rule:
    return lambda value, name: _object(value, name, rules, needed)


def list_of(rule: Rule) -> Rule:
    def each(value: Any, name: str) -> Iterator[Fault]:
        if not isinstance(value, list):
            yield name, f"{_shown(value)}, not a list"
            return
        for index, inner in enumerate(value):
            yield from rule(inner, f"{name}.{index}")

    return each


def _figures(point: dict[str, Any], name: str, skip: tuple[str, ...] = ()) -> Iterator[Fault]:
    """Figures of a point, by their names. Only a share of what was not counted may be null."""
    for key, value in point.items():
        if value is None and key not in (*UNCOUNTED, *skip):
            yield f"{name}.{key}", DIVERGED
        elif value is not None and key not in skip:
            yield from (RATE if key in ABOVE_ZERO else NUMBER)(value, f"{name}.{key}")


def _base(value: Any, name: str) -> Iterator[Fault]:
    """The figures of a base. Each way to sample that has an entropy has accuracy and tokens too."""
    heated = (
        [key.removesuffix("entropy") for key in value if key.endswith("_entropy")] if isinstance(value, dict) else []
    )
    needed = [prefix + figure for prefix in ("", *heated) for figure in SAMPLED]
    yield from _object(value, name, {}, tuple(needed)) if value != {} else ()
    yield from _figures(value, name) if isinstance(value, dict) else ()


def _point(value: Any, name: str, needed: tuple[str, ...]) -> Iterator[Fault]:
    yield from _object(value, name, {"step": COUNT, "stage": STAGES}, ("step", "stage", *needed))
    yield from _figures(value, name, ("step", "stage")) if isinstance(value, dict) else ()


def _run(value: Any, name: str) -> Iterator[Fault]:
    yield from _object(value, name, {"seed": COUNT, "rate": RATE}, ("seed", "rate", "curve"))
    curve = value.get("curve", []) if isinstance(value, dict) else []
    if not isinstance(curve, list) or len(curve) < LAST:
        long = f"{len(curve)} points" if isinstance(curve, list) else _shown(curve)
        yield f"{name}.curve", f"{long}, not a list of {LAST} points or more"
        return
    for index, point in enumerate(curve):
        last = index >= len(curve) - LAST
        yield from _point(point, f"{name}.curve.{index}", (*ALWAYS, *HEATED) if last else ALWAYS)


def _runs(value: Any, name: str) -> Iterator[Fault]:
    """All runs of an octet are evaluated at the same steps."""
    if value == []:
        yield name, "empty, though the octet is complete"
    found = list(list_of(_run)(value, name))
    yield from found
    steps = [[point["step"] for point in run["curve"]] for run in value] if not found else []
    yield from (
        (f"{name}.{n}.curve", "of other steps than the first run's") for n in range(len(steps)) if steps[n] != steps[0]
    )


STAGES = one_of("a stage", lambda value: isinstance(value, str) and bool(STAGE.fullmatch(value)))
WORDS = list_of(TEXT)
CHECK = object_of(
    {"name": TEXT, "value": lambda value, name: () if value is None else SIGNED(value, name), "passed": SWITCH}
    | {"least": SIGNED, "most": SIGNED},
    "name", "passed",
)  # fmt: skip
SETTINGS = object_of(
    {"name": TEXT, "rates": list_of(RATE), "seeds": COUNT, "known_to_fail": WORDS, "least_entropy": NUMBER}
    | {"check_edition": COUNT, "world": object_of({})},
    "name", "rates", "seeds", "world",
)  # fmt: skip
RULES: dict[str, Rule] = {
    "cell": TEXT,
    "settings": SETTINGS,
    "arms": WORDS,
    "arm": object_of({"name": TEXT}, "name"),
    "complete": SWITCH,
    "seconds": NUMBER,
    "candidate_tokens": COUNT,
    "device": TEXT,
    "registration_sha256": TEXT,
    "base_sha256": TEXT,
    "checks": list_of(CHECK),
    "base": _base,
    "base_mean": _base,
    "earlier": list_of(object_of({})),
    "runs": list_of(object_of({})),
}
