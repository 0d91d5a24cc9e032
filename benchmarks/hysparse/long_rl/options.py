"""Options of the benchmark, and the sizes that follow from the options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hysparse.long_rl.task import Task
from benchmarks.hysparse.long_rl.words import Words

OTHER_LINKS = 8
# The preset's 32,768 words would leave the twin below 100 M parameters.
SMALL_WORDS, TINY_WORDS = Words(128, 64, 40_960), Words(16, 8, 512)
# TOKENS:ROWS:GAP:CLUSTERS:SHARE of the seconds. A lesson ends early once learnt.
LESSONS = ("512:32:16:6:0.2", "2048:8:256:16:0.15", "8192:2:2048:32:0.2")
TINY_LESSONS = ("128:8:0:5:0.6",)
TINY = {
    "links": 8,
    "prompt_tokens": [384, 512],
    "gap": 100,
    "clusters": 12,
    "lessons": list(TINY_LESSONS),
    "final_rows": 2,
    "landing": 16,
    "fresh": 24,
    "sft_seconds": 60.0,
    "stage_seconds": 150.0,
    "steps": 2,
    "prompts": 4,
    "samples": 4,
    "block": 16,
    "lr": 1e-4,
}


@dataclass(frozen=True)
class Lesson:
    """Rows of one task, for a share of the training time. The last lesson gets what is left."""

    task: Task
    rows: int
    share: float


def make_parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tiny", action="store_true", help="sizes for a CPU; options given beside it win")
    parser.add_argument("--seconds", type=float, default=460, help="of the whole call")
    parser.add_argument("--links", type=int, default=48, help="words of a right response")
    parser.add_argument("--prompt-tokens", type=int, nargs=2, default=[16_384, 20_480], metavar=("LOW", "HIGH"))
    parser.add_argument("--gap", type=int, default=2048, help="tokens between the last pair and the question, at least")
    parser.add_argument("--clusters", type=int, default=32, help="selection blocks that hold pairs")
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--sft-seconds", type=float, default=85, help="of both policies, side by side")
    parser.add_argument("--sft-lr", type=float, default=6e-4, help="of matrices, see `recall.models.groups`")
    parser.add_argument("--lessons", nargs="+", default=list(LESSONS))
    parser.add_argument("--final-rows", type=int, default=2, help="rows a step of the last lesson")
    parser.add_argument("--landing", type=int, default=384, help="problems that decide where SFT lands")
    parser.add_argument("--fresh", type=int, default=512, help="problems of the accuracies before and after RL")
    parser.add_argument("--target", type=float, default=0.5, help="accuracy at which SFT ends")
    parser.add_argument("--stage-seconds", type=float, default=175, help="of a stage, from its start to its end")
    parser.add_argument("--apart", action="store_true", help="start the second stage when the first has ended")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--every", type=int, default=4, help="steps between checkpoints")
    parser.add_argument("--prompts", type=int, default=8, help="prompts a step")
    parser.add_argument("--samples", type=int, default=8, help="responses to a prompt")
    parser.add_argument("--updates", type=int, default=2, help="updates a step")
    parser.add_argument("--lr", type=float, default=1e-5, help="of RL")
    parser.add_argument("--kv-bytes", type=int, default=10**9, help="KV cache of either policy's rollouts")
    parser.add_argument("--order", nargs="+", default=["hysparse", "full"], choices=["hysparse", "full"])
    return parser


def parse_arguments(description: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options, and in ``overrides`` the keys of the stages. Raises ValueError for sizes without room."""
    parser = make_parser(description)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parsed(parser, arguments)


def parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of a parser that `make_parser` began. Raises ValueError for sizes without room."""
    if parser.parse_intermixed_args(arguments).tiny:
        parser.set_defaults(**TINY)
    options = parser.parse_intermixed_args(arguments)
    lessons_of(options)
    return options


def words_of(options: argparse.Namespace) -> Words:
    return TINY_WORDS if options.tiny else SMALL_WORDS


def task_of(options: argparse.Namespace, low: int, high: int, gap: int, clusters: int) -> Task:
    """The task with as many short chains as symbols are left."""
    words = words_of(options)
    short = OTHER_LINKS // 2 if options.tiny else OTHER_LINKS
    others = (words.symbols - options.links) // short
    return Task(words, low, high, options.links, others, short, gap, clusters, options.block)


def rl_task(options: argparse.Namespace) -> Task:
    return task_of(options, *options.prompt_tokens, options.gap, options.clusters)


def lessons_of(options: argparse.Namespace) -> list[Lesson]:
    """The lessons in order. The last lesson has the prompts of RL."""
    lessons = []
    for text in options.lessons:
        tokens, rows, gap, clusters = (int(size) for size in text.split(":")[:4])
        lessons.append(Lesson(task_of(options, tokens, tokens, gap, clusters), rows, float(text.split(":")[4])))
    return [*lessons, Lesson(rl_task(options), options.final_rows, 1.0)]
