"""Synthetic recall: chains of pairs lie far back in filler, and queries at the end follow a chain some links along.

A token holds two symbols, as if its embedding were factored: the pair (a, b) links a to b, the query (x, n) wants the
symbol n links along from x, filler holds two that mean nothing. So one layer of attention follows one link, and none
is spent on joining neighbouring tokens. A chain of H + 1 symbols is H pairs, shuffled with those of other chains and
laid out in clusters at random places. Queries begin at the first symbol of a chain only, so that no earlier query does
a part of a later one's way. Near chains, the control, lie a few tokens before their query.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

IGNORED = -100
FILLERS = 64
CLUSTER = 20  # pairs
FAR_QUERIES = 6  # between a near chain and its query


@dataclass(frozen=True)
class Task:
    """Sizes of a row. ``window`` is the least gap between far pairs and queries; ``hops`` the links of a chain."""

    length: int
    window: int = 128
    chains: int = 30
    hops: int = 2
    groups: int = 72
    symbols: int = 512

    @property
    def vocabulary(self) -> int:
        """Symbols, fillers and a sign for each number of links, rounded up to 64."""
        return -(-(self.symbols + FILLERS + self.hops + 1) // 64) * 64

    @property
    def first_sign(self) -> int:
        """The sign of 0 links, which no query has."""
        return self.symbols + FILLERS

    @property
    def clusters(self) -> int:
        return -(-self.chains * self.hops // CLUSTER)

    @property
    def group(self) -> int:
        """Tokens of a near chain, some far queries, and the near one."""
        return self.hops + FAR_QUERIES + 1

    @property
    def table(self) -> int:
        """Tokens before which far pairs end."""
        return self.length - self.window - self.groups * self.group


@dataclass(frozen=True)
class Batch:
    """All [rows, length]: a token's two symbols, the wanted symbol (-100 where none), links to follow, near or not."""

    first: Tensor
    second: Tensor
    labels: Tensor
    links: Tensor
    near: Tensor

    def to(self, device: str) -> Batch:
        return Batch(*(getattr(self, part.name).to(device, non_blocking=True) for part in fields(self)))


def batch(task: Task, rows: int, draw: np.random.Generator) -> Batch:
    """Rows drawn anew; raises ValueError where the far pairs do not fit."""
    if task.table // CLUSTER - 1 < task.clusters or task.symbols < (task.chains + task.groups) * (task.hops + 1):
        raise ValueError(f"{task} has no room for its chains")
    made = [row(task, draw) for _ in range(rows)]
    return Batch(*(torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True)))


def row(task: Task, draw: np.random.Generator) -> tuple[np.ndarray, ...]:
    """The parts of ``Batch`` for one row."""
    first, second = draw.integers(task.symbols, task.first_sign, (2, task.length))
    labels, links, near = (np.full(task.length, value) for value in (IGNORED, 0, False))
    chains = draw.permutation(task.symbols)[: (task.chains + task.groups) * (task.hops + 1)]
    chains = chains.reshape(-1, task.hops + 1)
    far_pairs = draw.permutation(pairs(chains[: task.chains]).reshape(-1, 2))
    where = places(task, draw)[: len(far_pairs)]
    first[where], second[where] = far_pairs.T

    queries = task.length - task.groups * task.group + np.arange(task.groups * task.group).reshape(task.groups, -1)
    order = draw.permuted(np.tile(np.arange(task.hops), (task.groups, 1)), axis=1)[..., None]
    near_pairs = np.take_along_axis(pairs(chains[task.chains :]), order, axis=1)
    first[queries[:, : task.hops]], second[queries[:, : task.hops]] = np.moveaxis(near_pairs, -1, 0)
    # the last query of a group asks for its near chain
    queries = queries[:, task.hops :]
    asked = draw.integers(0, task.chains, queries.shape)
    asked[:, -1] = task.chains + np.arange(task.groups)
    wanted = draw.integers(1, task.hops + 1, queries.shape)
    first[queries], second[queries] = chains[asked, 0], task.first_sign + wanted
    labels[queries], links[queries] = chains[asked, wanted], wanted
    near[queries[:, -1]] = True
    return first, second, labels, links, near


def pairs(chains: np.ndarray) -> np.ndarray:
    """Neighbouring symbols of each chain, [chains, hops, 2]."""
    return np.stack([chains[:, :-1], chains[:, 1:]], -1)


def places(task: Task, draw: np.random.Generator) -> np.ndarray:
    """Where far pairs go: clusters at random places, off any grid by a common shift."""
    slots = draw.permutation(task.table // CLUSTER - 1)[: task.clusters]
    return (slots[:, None] * CLUSTER + draw.integers(CLUSTER) + np.arange(CLUSTER)).reshape(-1)
