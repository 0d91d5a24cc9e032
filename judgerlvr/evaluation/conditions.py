"""Conditions under which two evaluations of one set were made, and the conditions that differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from judgerlvr.evaluation.outputs import Group
from judgerlvr.evaluation.records import Record
from judgerlvr.sampling.plan import CAPACITY
from judgerlvr.sampling.samples import CUT
from rewards.wording import counted

# Settings that say how a response is read, by kind.
READ_BY = {"generate": ("verifier", "extraction"), "judge": ("verdicts",)}


@dataclass(frozen=True)
class Difference:
    """A condition, by the name of the option that allows it, with a person's words for the difference."""

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


def differences(ours: Group, theirs: Group) -> list[Difference]:
    """All conditions in which two groups differ, over the items of both."""
    found = [(name, compare(ours, theirs)) for name, compare in CONDITIONS.items()]
    return [Difference(name, text) for name, text in found if text]


def _by_item(group: Group, other: Group) -> dict[str, Record]:
    shared = {record.id for record in other.records}
    return {record.id: record for record in group.records if record.id in shared}


def _items_that_differ(ours: Group, theirs: Group, read: Callable[[Record], Any]) -> str:
    one, two = _by_item(ours, theirs), _by_item(theirs, ours)
    count = sum(read(one[item]) != read(two[item]) for item in one)
    return f"differs for {count} of {counted(len(one), 'item')}" if count else ""


def _prompt(ours: Group, theirs: Group) -> str:
    """The rendered text that the policy was given, chat template included."""
    return _items_that_differ(ours, theirs, lambda record: record.prompt)


def _gold(ours: Group, theirs: Group) -> str:
    return _items_that_differ(ours, theirs, lambda record: (record.gold, record.label))


def _verifier(ours: Group, theirs: Group) -> str:
    names = READ_BY[ours.key.kind]
    return _against(*({name: group.settings.get(name) for name in names} for group in (ours, theirs)))


def _decoding(ours: Group, theirs: Group) -> str:
    def of(group: Group) -> dict[str, Any]:
        decoding = group.decoding
        if decoding.stored:
            return {"stored": True}
        return {"stored": False, "temperature": decoding.temperature, "top_p": decoding.top_p}

    return _against(of(ours), of(theirs))


def _engine(ours: Group, theirs: Group) -> str:
    """The arguments of the engine, but those that say how much runs at once."""
    one, two = (group.settings.get("engine") or {} for group in (ours, theirs))
    return _against(*({name: value for name, value in given.items() if name not in CAPACITY} for given in (one, two)))


def _limit(ours: Group, theirs: Group) -> str:
    one, two = (token_limit(group) for group in (ours, theirs))
    return _against({"response tokens": one}, {"response tokens": two}) if one and two else ""


def token_limit(group: Group) -> int | None:
    """The tokens that every response could have. None where responses were given.

    A model with a short context cuts responses below the limit that was asked for.
    """
    if group.decoding.stored:
        return None
    cut = [record.tokens for record in group.records if record.finish_reason == CUT and record.tokens is not None]
    return min([group.decoding.max_tokens, *cut])


def _n(ours: Group, theirs: Group) -> str:
    one, two = (Counter(record.id for record in group.records) for group in (ours, theirs))
    pairs = Counter((one[item], two[item]) for item in one.keys() & two.keys() if one[item] != two[item])
    if not pairs:
        return ""
    (a, b), _ = pairs.most_common(1)[0]
    shared = counted(len(one.keys() & two.keys()), "item")
    return f"{a} against {counted(b, 'sample')} of an item ({pairs.total()} of {shared})"


def _against(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return ", ".join(f"{name} {ours.get(name)} against {theirs.get(name)}" for name in names)


CONDITIONS: dict[str, Callable[[Group, Group], str]] = {
    "prompt": _prompt,
    "gold": _gold,
    "verifier": _verifier,
    "decoding": _decoding,
    "limit": _limit,
    "n": _n,
    "engine": _engine,
}
