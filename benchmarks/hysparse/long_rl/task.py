"""Long recall: a chain of pairs lies scattered over a prompt of fillers, and the response walks the chain to its end.

The prompt ends with the first symbol of a chain. The response says each next symbol, and boxes the answer that the last
link names. Each word of the response is found by a look-up far back in the prompt. A wrong link leads into another
chain or into none, so errors compound. Short chains stand beside the long chain. A guess among the answers of a
prompt is therefore seldom right, and only a right walk is paid.

Pairs are dealt over selection blocks at random. Consecutive links mostly lie in different blocks. The last ``gap``
tokens hold fillers and the question alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.hysparse.long_rl.words import CONTROL, Words
from rewards.types import Problem, Reason, Result
from rewards.verifier import verifier

HELDOUT = 2**31  # seed of held-out problems. Training problems have other seeds


@dataclass(frozen=True)
class Task:
    """Sizes of a prompt. ``low`` and ``high`` bound its tokens, question included.

    ``links`` counts words of a response. ``clusters`` selection blocks of ``block`` tokens hold the pairs.
    """

    words: Words
    low: int
    high: int
    links: int
    others: int  # chains beside the long chain
    other_links: int
    gap: int
    clusters: int
    block: int = 64

    def __post_init__(self) -> None:
        symbols, table = sum(self.lengths), (self.low - 1 - self.gap) // self.block
        room = -(-symbols // self.clusters) <= self.block and self.clusters <= table
        if not room or symbols > self.words.symbols or len(self.lengths) > self.words.answers:
            raise ValueError(f"{self} has no room for its chains: {table} blocks, {symbols} pairs")

    @property
    def lengths(self) -> list[int]:
        """Links of each chain, the asked chain first."""
        return [self.links] + [self.other_links] * self.others


@dataclass(frozen=True)
class Example:
    """``prompt`` int64 [tokens], and the parts of each chain, the asked chain first. The last part is the answer."""

    prompt: np.ndarray
    chains: list[list[int]]


def draw_example(task: Task, draw: np.random.Generator, tokens: int | None = None) -> Example:
    """A prompt of ``tokens`` tokens, or of a length drawn between the task's bounds."""
    tokens = int(draw.integers(task.low, task.high + 1)) if tokens is None else tokens
    words = task.words
    symbols, answers = draw.permutation(words.symbols), draw.permutation(words.answers) + words.symbols
    ends = np.cumsum(task.lengths)
    chains = [
        [*map(int, symbols[end - length : end]), int(answer)]
        for end, length, answer in zip(ends, task.lengths, answers, strict=False)
    ]
    pairs = [words.pair(a, b) for chain in chains for a, b in pairwise(chain)]
    prompt = draw.integers(words.first_filler, words.size, tokens)
    prompt[places(task, len(pairs), tokens, draw)] = draw.permutation(pairs)
    prompt[-1] = words.said(chains[0][0])
    return Example(prompt, chains)


def places(task: Task, pairs: int, tokens: int, draw: np.random.Generator) -> np.ndarray:
    """Distinct places of the pairs, evenly over blocks drawn from those before the gap."""
    blocks = draw.permutation((tokens - 1 - task.gap) // task.block)[: task.clusters]
    within = np.argsort(draw.random((task.clusters, task.block)), 1)
    each = -(-pairs // task.clusters)
    return (blocks[:, None] * task.block + within[:, :each]).T.reshape(-1)[:pairs]


def response(task: Task, chain: list[int]) -> list[int]:
    """Tokens of the right response to a chain's first symbol."""
    return [task.words.said(part) for part in chain[1:]]


def examples(task: Task, seed: int) -> Iterator[Example]:
    draw = np.random.default_rng(seed)
    while True:
        yield draw_example(task, draw)


def row_of(task: Task, example: Example, number: int, texts: list[str]) -> dict[str, str]:
    """A row of the product's problem file. ``walk`` is the whole right response."""
    walk = [texts[token] for token in response(task, example.chains[0])]
    problem = " ".join(texts[token] for token in example.prompt)
    gold = task.words.name(example.chains[0][-1])
    return {"id": f"chain-{number}", "problem": problem, "gold": gold, "walk": " ".join(walk)}


@verifier(reads="completion")
def same_walk(problem: Problem, completion: str) -> Result:
    """Pays 1 for the whole right response. A response that skips links or runs in a loop gets 0, whatever its end."""
    said = [word for word in completion.split() if word not in CONTROL]
    right = said == problem.meta["walk"].split()
    return Result(float(right), Reason.CORRECT if right else Reason.WRONG)
