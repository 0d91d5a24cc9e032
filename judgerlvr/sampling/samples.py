"""A prompt to sample from (Item) and a response to it (Sample)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.verl_rows import generate_chat
from rewards.types import Problem

CUT = "length"  # the finish reason of an output that ran into its token limit
OVERSIZE = "prompt_too_long"  # never sampled. Scores 0 and is counted, so that row counts stay right


@dataclass(frozen=True)
class Item:
    """One prompt of an evaluation set. ``label`` is None for a generate prompt.

    ``problem.id`` is the cluster of the intervals. All judge prompts of one problem share the id.
    """

    id: str
    set: str
    problem: Problem
    prompt: list[dict[str, str]]
    label: bool | None = None

    @property
    def kind(self) -> str:
        return "generate" if self.label is None else "judge"


@dataclass(frozen=True)
class Sample:
    """One response before grading. Token counts are counts of the policy's own tokens.

    ``thinking_tokens`` runs to the end of the last closing think tag. ``mean_logprob`` is per token, under the sampled
    distribution. Both are None if only text is known. ``unclosed``: a thinking part was opened and never closed.
    ``stop_reason`` is the stop text or the id of the stop token, None for the usual end token.
    ``right`` is the outcome by which rounds ended, None where no round asked.
    """

    item: Item
    index: int
    response: str
    prompt_text: str = ""
    tokens: int | None = None
    thinking_tokens: int | None = None
    finish_reason: str = "stop"
    mean_logprob: float | None = None
    seed: int | None = None
    unclosed: bool = False
    stop_reason: int | str | None = None
    right: bool | None = None


def generate_items(problems: Sequence[Problem], template: str, name: str) -> list[Item]:
    """Items that ask for a solution of each problem, as set ``name``."""
    return [Item(p.id, name, p, generate_chat(p, template)) for p in problems]
