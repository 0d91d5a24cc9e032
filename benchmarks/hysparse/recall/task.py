"""Synthetic recall: chains of pairs lie far back in filler, and queries at the end follow a chain a link or two.

A token holds two symbols, as if its embedding were factored. The pair (a, b) links a to b. The query (n, x) wants the
symbol n links along from x. Filler holds two symbols without meaning. One layer of attention thus follows one link, and
no layer is spent on joining neighbouring tokens. Tokens are found by their first symbol and look for their second
symbol. No query is found by another query, and no pair is found by the symbol that it links to. Queries begin at the
first symbol of a chain only, so no earlier query does part of the work of a later query.

The pairs of a chain lie in one selection block, a cluster, shuffled with the pairs of the cluster's other chains. Far
clusters end ``gap`` tokens before the first query. Near chains, the control, lie a few tokens before their queries.

The difference between the models: the full first layer sees embeddings only. It follows the first link and no other,
wherever the second link lies. A later layer must look past the window to follow the second link of a far chain. The
selection holds the second link without a gradient. The first layer follows the first link for all queries, so its
attention is largest in the block that also holds the second link. A row has more clusters than a query selects blocks,
so "all blocks with pairs" is not enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

FILLERS = 64
FAR_QUERIES, NEAR_QUERIES = 6, 2  # of a group


@dataclass(frozen=True)
class Task:
    """Sizes of a row. At least ``gap`` tokens lie between far pairs and queries. ``hops`` is the number of links of a
    chain.
    """

    length: int
    gap: int
    clusters: int
    chains: int  # of a cluster
    groups: int
    hops: int = 2
    symbols: int = 256
    block: int = 64

    def __post_init__(self) -> None:
        wanted = (self.clusters * self.chains + self.groups) * (self.hops + 1)
        if self.table < self.clusters or self.chains * self.hops > self.block or wanted > self.symbols:
            raise ValueError(f"{self} has no room for its chains: {self.table} blocks, {wanted} symbols")

    @property
    def vocabulary(self) -> int:
        """Symbols, fillers and a sign for each number of links, rounded up to 64."""
        return -(-(self.first_sign + self.hops + 1) // 64) * 64

    @property
    def first_sign(self) -> int:
        """The sign of 0 links, which no query has."""
        return self.symbols + FILLERS

    @property
    def group(self) -> int:
        """Tokens of a near chain, some far queries, and the near queries."""
        return self.hops + FAR_QUERIES + NEAR_QUERIES

    @property
    def table(self) -> int:
        """Blocks that far clusters are placed in."""
        return (self.length - self.gap - self.groups * self.group) // self.block


@dataclass(frozen=True)
class Batch:
    """``first``, ``second`` [rows, length]: a token's two symbols. The other fields have an entry a query: its place in
    the flattened rows, the wanted symbol, links to follow, near or not, and the block of the last link (meaningless if
    near).
    """

    first: Tensor
    second: Tensor
    where: Tensor
    wanted: Tensor
    links: Tensor
    near: Tensor
    needle: Tensor

    def to(self, device: str) -> Batch:
        return self.each(lambda part: part.to(device, non_blocking=True))

    def pinned(self) -> Batch:
        """In page-locked memory, which a copy to a GPU does not wait for."""
        return self.each(Tensor.pin_memory)

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(*(change(getattr(self, part.name)) for part in fields(self)))


def batch(task: Task, rows: int, draw: np.random.Generator) -> Batch:
    """Rows drawn anew, all at once."""
    first, second = draw.integers(task.symbols, task.first_sign, (2, rows, task.length))
    far, every = task.clusters * task.chains, task.clusters * task.chains + task.groups
    order = draw.random((rows, task.symbols), dtype=np.float32).argsort(1)
    chains = order[:, : every * (task.hops + 1)].reshape(rows, every, task.hops + 1)
    pairs = np.stack([chains[..., :-1], chains[..., 1:]], -1)

    blocks, places = far_places(task, rows, draw)
    each = np.arange(rows)[:, None, None]
    spread = shuffled(pairs[:, :far].reshape(rows, task.clusters, -1, 2), draw)
    first[each, places], second[each, places] = np.moveaxis(spread, -1, 0)

    tokens = np.arange(task.length - task.groups * task.group, task.length).reshape(task.groups, task.group)
    near_places, queries = tokens[None, :, : task.hops], tokens[None, :, task.hops :]
    first[each, near_places], second[each, near_places] = np.moveaxis(shuffled(pairs[:, far:], draw), -1, 0)

    asked = draw.integers(0, far, (rows, task.groups, FAR_QUERIES + NEAR_QUERIES))
    near = np.zeros(asked.shape, dtype=bool)
    near[..., -NEAR_QUERIES:] = True
    asked = np.where(near, far + np.arange(task.groups)[:, None], asked)
    links = draw.integers(1, task.hops + 1, asked.shape)
    first[each, queries], second[each, queries] = task.first_sign + links, chains[each, asked, 0]
    needle = blocks[each, np.minimum(asked // task.chains, task.clusters - 1)]
    parts = (each * task.length + queries, chains[each, asked, links], links, near, needle)
    return Batch(*(torch.from_numpy(part) for part in (first, second, *(part.reshape(-1) for part in parts))))


def shuffled(pairs: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """[rows, clusters, pairs, 2] with the pairs of each cluster in an order of their own."""
    order = draw.random(pairs.shape[:3]).argsort(-1)
    return np.take_along_axis(pairs, order[..., None], 2)


def far_places(task: Task, rows: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Block of each cluster, [rows, clusters], and places of its pairs, [rows, clusters, pairs], within that block."""
    size = task.chains * task.hops
    blocks = draw.random((rows, task.table)).argsort(1)[:, : task.clusters]
    begin = blocks * task.block + draw.integers(0, task.block - size + 1, blocks.shape)
    return blocks, begin[..., None] + np.arange(size)
