"""Ways to sample a step's responses that `sampling.py` times beside each other."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from judgerlvr.hysparse.ops.dispatch import BY_OVERLAP


@dataclass(frozen=True)
class Engine:
    """What needs a process of its own. ``backend`` is JUDGERLVR_HYSPARSE_BACKEND, None leaves the user's."""

    policy: str
    connector: bool
    asynchronous: bool
    backend: str | None = None

    @property
    def name(self) -> str:
        words = [self.policy, "connector" if self.connector else "", "async" if self.asynchronous else "sync"]
        return "-".join(word for word in [*words, self.backend] if word)


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
    """All variants, in the order of their numbers. Without ``backend``, a last variant takes KV-outer kernels."""
    training, bare = Engine("hysparse", True, False, backend), Engine("hysparse", False, False, backend)
    found = [
        Variant(1, "HySparse as in training", training, asks=True),
        Variant(2, "HySparse, choices not asked for", training),
        Variant(3, "HySparse, no connector", bare),
        Variant(4, "HySparse, no connector, async", Engine("hysparse", False, True, backend)),
        Variant(5, "full, async, as in training", Engine("full", False, True)),
        Variant(6, "full", Engine("full", False, False)),
    ]
    outer = Variant(7, "HySparse, no connector, KV-outer", Engine("hysparse", False, False, BY_OVERLAP))
    return found if backend else [*found, outer]


def wanted(options: argparse.Namespace) -> list[Variant]:
    return [variant for variant in variants(options.backend) if variant.number in options.only]


def in_turn(found: Sequence[Variant]) -> list[Engine]:
    """Engines by what a cut would lose least: first the two as in training, then the order of the numbers."""
    first = sorted(found, key=lambda variant: "as in training" not in variant.title)
    return list(dict.fromkeys(variant.engine for variant in first))
