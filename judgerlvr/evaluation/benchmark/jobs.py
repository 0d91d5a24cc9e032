"""What one model has to sample, and the check that prompts and limit fit into its context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from judgerlvr.evaluation.tasks.files import TaskData
from judgerlvr.evaluation.tasks.task import Task
from judgerlvr.models.configuration import model_context, over_context
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.models.prompt_tokens import token_counter
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.samples import Item, generate_items
from rewards.errors import InputError


@dataclass(frozen=True)
class Job:
    """A task with its problems as prompts. ``decodings`` are drawn one after the other."""

    task: Task
    data: TaskData
    items: list[Item]
    decodings: tuple[Decoding, ...]


def make_job(task: Task, data: TaskData, decoding: Decoding, greedy: bool, limit: int | None) -> Job:
    """The job of a task. The task's own n counts, and ``greedy`` adds a greedy pass."""
    asked = replace(decoding, n=1 if decoding.greedy else task.n)
    decodings = (asked, asked.as_greedy()) if greedy and not asked.greedy else (asked,)
    return Job(task, data, generate_items(data.problems, task.prompt, task.name)[:limit], decodings)


def check_context(model: Path, jobs: Sequence[Job], engine: Mapping[str, Any]) -> int:
    """Tokens of context that the engine must hold: the longest prompt of all tasks with a whole response.

    ``engine`` holds arguments of ``vllm.LLM``. Its ``max_model_len`` stands for the context of the model.

    Raises:
        InputError: the context of the model is smaller.
    """
    count = token_counter(load_tokenizer(model))
    context = model_context(model, engine)
    needed = 0
    for job in jobs:
        longest = max(count(item.prompt) for item in job.items)
        most = max(decoding.max_tokens for decoding in job.decodings)
        needed = max(needed, longest + most)
        if problem := over_context(longest, most, context):
            left = (context or 0) - longest
            remedy = f"give --max-tokens {left}" if left > 0 else "leave the task out"
            raise InputError(f"{job.task.name}: {problem}", remedy, file=model)
    return needed
