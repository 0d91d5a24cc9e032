"""Ways to sample a step's responses that `sampling.py` times beside each other."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from judgerlvr.hysparse.ops.dispatch import BY_OVERLAP

HYSPARSE, FULL = "hysparse", "full"


@dataclass(frozen=True)
class Engine:
    """What needs a process of its own. ``backend`` is JUDGERLVR_HYSPARSE_BACKEND, None leaves the user's.

    ``reserve``: the cache is larger by the bytes that HySparse's engine sets aside for its prefill.
    """

    policy: str
    connector: bool
    asynchronous: bool
    backend: str | None = None
    reserve: bool = False

    @property
    def name(self) -> str:
        words = [self.policy, "connector" if self.connector else "", "async" if self.asynchronous else "sync"]
        return "-".join(word for word in [*words, self.backend, "reserve" if self.reserve else ""] if word)

    @property
    def policies(self) -> list[str]:
        """Policies that the engine needs. The size of the reserve follows from HySparse's."""
        return [self.policy, HYSPARSE] if self.reserve else [self.policy]


@dataclass(frozen=True)
class Variant:
    """``asks``: requests ask for their choices."""

    number: int
    title: str
    engine: Engine
    asks: bool = False

    @property
    def name(self) -> str:
        backend = f", {self.engine.backend}" if self.engine.backend else ""
        return f"{self.number} {self.title}{backend}"


def variants(backend: str | None) -> list[Variant]:
    """All variants, in the order of their numbers. Without ``backend``, variant 7 takes KV-outer kernels."""
    training, bare = Engine(HYSPARSE, True, False, backend), Engine(HYSPARSE, False, False, backend)
    found = [
        Variant(1, "HySparse as in training", training, asks=True),
        Variant(2, "HySparse, choices not asked for", training),
        Variant(3, "HySparse, no connector", bare),
        Variant(4, "HySparse, no connector, async", Engine(HYSPARSE, False, True, backend)),
        Variant(5, "full, async, as in training", Engine(FULL, False, True)),
        Variant(6, "full", Engine(FULL, False, False)),
    ]
    outer = Variant(7, "HySparse, no connector, KV-outer", Engine(HYSPARSE, False, False, BY_OVERLAP))
    larger = Engine(FULL, False, True, reserve=True)
    equal = Variant(8, "full, async, with HySparse's prefill reserve as cache", larger)
    return [*found, equal] if backend else [*found, outer, equal]


def numbers() -> list[int]:
    return [variant.number for variant in variants(None)]


def wanted(options: argparse.Namespace) -> list[Variant]:
    return [variant for variant in variants(options.backend) if variant.number in options.only]


def in_turn(found: Sequence[Variant]) -> list[Engine]:
    """Engines by what a cut would lose least: first the two as in training, then the order of the numbers."""
    first = sorted(found, key=lambda variant: "as in training" not in variant.title)
    return list(dict.fromkeys(variant.engine for variant in first))
