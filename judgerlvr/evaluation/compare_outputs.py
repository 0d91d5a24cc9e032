"""The command ``judgerlvr.compare``: sets of two evaluations matched, compared, and written as tables."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from judgerlvr.evaluation.comparison import Comparison, paired
from judgerlvr.evaluation.comparison_page import page
from judgerlvr.evaluation.conditions import Difference, differences, token_limit
from judgerlvr.evaluation.documents import check_files, to_markdown, write_files
from judgerlvr.evaluation.outputs import Group, Output, SetKey, read_output
from judgerlvr.evaluation.permutation import holm
from rewards.errors import InputError


@dataclass(frozen=True)
class ComparedSet:
    """One set of both evaluations. ``stamps`` are the differing conditions that the user allowed.

    ``holm_p`` is the p-value of the set after Holm's correction over the sets of the same kind and decoding.
    """

    ours: SetKey
    theirs: SetKey
    comparison: Comparison
    stamps: tuple[Difference, ...]
    holm_p: float

    def as_dict(self) -> dict[str, Any]:
        return {
            "set": self.ours.set,
            "set_of_theirs": self.theirs.set,
            "kind": self.ours.kind,
            "greedy": self.ours.greedy,
            "different": {stamp.name: stamp.text for stamp in self.stamps},
            "holm_p": self.holm_p,
            **self.comparison.as_dict(),
        }


def match_groups(ours: Sequence[Group], theirs: Sequence[Group]) -> list[tuple[Group, Group]]:
    """Pairs of sets, each set once, in the order of ours. The sets that share most items match, then equal names.

    A set is known by the items, since the same file has another path on another machine.
    """
    items = {id(group): {record.id for record in group.records} for group in (*ours, *theirs)}
    ranked = []
    for place, a in enumerate(ours):
        for b in theirs:
            shared = len(items[id(a)] & items[id(b)])
            # Sampled and greedy responses differ by decoding alone and are never compared.
            if shared and a.key[1:] == b.key[1:]:
                ranked.append((-shared, a.key.set != b.key.set, place, a, b))
    taken: set[int] = set()
    pairs = []
    for _, _, place, a, b in sorted(ranked, key=lambda row: row[:3]):
        if not {id(a), id(b)} & taken:
            taken |= {id(a), id(b)}
            pairs.append((place, a, b))
    return [(a, b) for _, a, b in sorted(pairs, key=lambda pair: pair[0])]


def compare_outputs(ours: Output, theirs: Output, allowed: Sequence[str] = ()) -> list[ComparedSet]:
    """Compare all sets that both have.

    Raises:
        InputError: no item is in both, or a condition differs that is not in ``allowed``.
    """
    pairs = match_groups(ours.groups(), theirs.groups())
    if not pairs:
        raise InputError(
            f"no item is in both {ours.folder} and {theirs.folder}", "evaluate both models on the same files"
        )
    stamps = [differences(a, b) for a, b in pairs]
    refuse_differences(pairs, stamps, allowed)
    compared = [
        ComparedSet(a.key, b.key, paired(a.records, b.records, curve_limit(a, b)), tuple(found), float("nan"))
        for (a, b), found in zip(pairs, stamps, strict=True)
    ]
    return correct_for_sets(compared)


def refuse_differences(
    pairs: Sequence[tuple[Group, Group]], found: Sequence[Sequence[Difference]], allowed: Sequence[str]
) -> None:
    """Raise InputError that names the first set with a difference, and all names that must be allowed."""
    refused = [(a.key, [d for d in ds if d.name not in allowed]) for (a, _), ds in zip(pairs, found, strict=True)]
    names = list(dict.fromkeys(d.name for _, ds in refused for d in ds))
    if names:
        key, first = next((key, ds) for key, ds in refused if ds)
        problem = f"{key.kind} set {key.set}: the two evaluations differ: {'. '.join(map(str, first))}"
        wanted = " ".join(dict.fromkeys([*allowed, *names]))
        raise InputError(problem, f"evaluate alike, or compare nevertheless with --allow-different {wanted}")


def curve_limit(ours: Group, theirs: Group) -> int | None:
    """The shorter token limit of both. None where one has none."""
    limits = [token_limit(ours), token_limit(theirs)]
    # Beyond the shorter limit a side has no chance to be right.
    return min(limit for limit in limits if limit) if all(limits) else None


def correct_for_sets(compared: Sequence[ComparedSet]) -> list[ComparedSet]:
    """Fill in ``holm_p``, over the sets of each kind and decoding."""
    adjusted: dict[int, float] = {}
    # Each kind and decoding has a table, and Holm's correction is over the sets of a table.
    for family in {row.ours[1:] for row in compared}:
        places = [place for place, row in enumerate(compared) if row.ours[1:] == family]
        adjusted |= zip(places, holm([compared[place].comparison.test.p for place in places]), strict=True)
    return [replace(row, holm_p=adjusted[place]) for place, row in enumerate(compared)]


def unmatched(output: Output, matched: set[SetKey]) -> list[str]:
    return [f"{group.key.kind} {group.key.set}" for group in output.groups() if group.key not in matched]


def compare(options: argparse.Namespace) -> None:
    # A taken name must fail before the comparison is computed.
    check_files(options.out)
    ours, theirs = read_output(options.ours), read_output(options.theirs)
    compared = compare_outputs(ours, theirs, options.allow_different)
    sets = [row.as_dict() for row in compared]
    alone = {
        "ours": unmatched(ours, {row.ours for row in compared}),
        "theirs": unmatched(theirs, {row.theirs for row in compared}),
    }
    blocks = page(ours.name, theirs.name, sets, alone)
    content = {
        "ours": {"folder": str(ours.folder), "model": ours.summary.get("model")},
        "theirs": {"folder": str(theirs.folder), "model": theirs.summary.get("model")},
        "allowed": list(options.allow_different),
        "alone": alone,
        "sets": sets,
    }
    print(to_markdown(blocks))
    write_files(options.out, blocks, content, "Comparison")
