"""The world of a cell by the cell's name, and the lab's verifier as a verifier of the product."""

from __future__ import annotations

from functools import cache

import torch

from benchmarks.lab.cells import all_cells
from benchmarks.lab.worlds.base import TOKENS, Problems, Traces
from benchmarks.lab.worlds.chain import ChainConfig, ChainWorld
from benchmarks.lab_pair.words import text_of, tokens_of
from rewards.types import Problem, Reason, Result
from rewards.verifier import verifier


@cache
def world_of(cell: str) -> ChainWorld:
    config = all_cells()[cell].world
    assert isinstance(config, ChainConfig)
    return ChainWorld(config, torch.device("cpu"))


def problem_rows(cell: str, problems: Problems) -> list[dict[str, str | int]]:
    """Problems in the product's layout. The columns ``cell`` and ``steps`` reach verifier and agent loop."""
    problems = {name: value.cpu() for name, value in problems.items()}
    prompts = world_of(cell).prompt(problems).tolist()
    answers, steps = problems["answer"].tolist(), problems["steps"].tolist()
    # Begin, task and ready come from the templates.
    return [
        {"problem": text_of(prompt[2:-1]), "gold": f"v{answer}", "cell": cell, "steps": count}
        for prompt, answer, count in zip(prompts, answers, steps, strict=True)
    ]


@verifier(reads="completion")
def verify(problem: Problem, text: str) -> Result:
    """Right by the lab's rules. The text of a response that ended lacks the end token, which the product cuts off."""
    world, tokens = world_of(problem.meta["cell"]), tokens_of(text)
    ended = len(tokens) < world.response_limit
    written = torch.tensor([[*tokens, TOKENS.end] if ended else tokens])
    traces = Traces(written, torch.tensor([written.shape[1]]))
    known = {"steps": torch.tensor([problem.meta["steps"]]), "answer": torch.tensor([int((problem.gold or "")[1:])])}
    right = bool(world.grade(known, traces).right)
    return Result(float(right), Reason.CORRECT if right else Reason.WRONG)


verify_quick = verify  # the rules look at each token once, so the caller's process may grade
