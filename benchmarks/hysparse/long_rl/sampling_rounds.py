"""What a round of sampling took: seconds, engine steps and tokens, before and after the last prompt's first token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.hysparse.long_rl.record import row


@dataclass(frozen=True)
class Event:
    """The end of one engine step. ``answered`` are the prompts of which the step returned tokens.

    ``end`` counts seconds from before the first request. ``tokens`` were scheduled since the event before, and
    ``chunk`` says that a part of a prompt was among the tokens. An asynchronous step waits for the step before.
    """

    end: float
    answered: frozenset[int]
    tokens: int
    chunk: bool = False


@dataclass(frozen=True)
class Part:
    """``steps`` are calls of the engine's step that scheduled tokens, and ``tokens`` were computed by them."""

    seconds: float
    steps: int
    tokens: int


@dataclass(frozen=True)
class Round:
    """``adding`` seconds of requests, in which no step ran, are a part of ``prefill``.

    ``chunks`` are the steps that held a part of a prompt, wherever the steps lie. ``tokens`` were sampled, and ``most``
    requests ran in a step. ``mib`` of choices came with the outputs. ``connector`` has the seconds of its methods.
    """

    adding: float
    prefill: Part
    decoding: Part
    chunks: Part
    tokens: int
    most: int
    mib: float = 0.0
    connector: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.prefill.seconds + self.decoding.seconds


def split(events: Sequence[Event], prompts: int) -> tuple[Part, Part]:
    """Steps up to the first token of the last prompt, and the steps behind. Raises ValueError without an answer."""
    seen: set[int] = set()
    for number, event in enumerate(events, 1):
        seen |= event.answered
        if len(seen) == prompts:
            before, after = events[:number], events[number:]
            return part_of(before, 0.0), part_of(after, event.end)
    raise ValueError(f"{len(seen)} of {prompts} prompts were answered")


def part_of(events: Sequence[Event], begun: float) -> Part:
    seconds = events[-1].end - begun if events else 0.0
    return Part(seconds, sum(event.tokens > 0 for event in events), sum(event.tokens for event in events))


def chunks_of(events: Sequence[Event]) -> Part:
    """The steps that held a part of a prompt."""
    begins = [0.0, *(event.end for event in events)]
    held = [(event, event.end - begin) for event, begin in zip(events, begins, strict=False) if event.chunk]
    return Part(sum(seconds for _, seconds in held), len(held), sum(event.tokens for event, _ in held))


@dataclass
class Result:
    """One variant, and the options of the call that timed it.

    ``asynchronous`` is what vLLM did, which refuses on a CPU. The engine had ``cache`` bytes in ``groups`` of layers.
    ``start`` seconds made the engine, and the first round took ``warming`` seconds. ``gpu`` holds seconds by group of
    kernels, for prefill and decoding of one profiled round. ``top`` holds, for both, the kernels with most seconds.
    """

    number: int
    name: str
    call: str = ""
    asynchronous: bool | None = None
    cache: int | None = None
    groups: int | None = None
    start: float | None = None
    warming: float | None = None
    rounds: list[dict[str, Any]] = field(default_factory=list)
    gpu: dict[str, dict[str, float]] = field(default_factory=dict)
    top: dict[str, dict[str, float]] = field(default_factory=dict)
    profiled: float | None = None
    note: str = ""


HEAD = [
    "variant",
    "asynchronous",
    "seconds a round",
    "median, s",
    "adding, s",
    "prefill, s",
    "steps",
    "tokens computed",
    "decoding, s",
    "steps",
    "tokens sampled",
    "steps with prompts, s",
    "steps",
    "most requests",
    "in wait_for_save, s",
    "of that waiting for the GPU, s",
    "in request_finished_all_groups, s",
    "choices, MiB",
    "cache, GB",
    "cache groups",
    "engine's start, s",
    "first round, s",
    "options",
    "note",
]
SHARES = ["attention", "choice", "cache", "copies", "other"]


def table(results: Sequence[Result]) -> list[str]:
    """Lines of Markdown: medians of the rounds by variant, GPU seconds by group of kernels, and costly kernels."""
    lines = [row(HEAD), ruler(HEAD)]
    lines += [row([result.name, *cells(result)]) for result in results]
    parts = [(result, part) for result in results for part in result.gpu]
    if parts:
        head = ["variant", "part", *(f"{share}, GPU s" for share in SHARES), "all, GPU s", "round under profiler, s"]
        lines += ["", row(head), ruler(head)]
        lines += [row([result.name, part, *gpu_cells(result, part)]) for result, part in parts]
        lines += [""] + [top_line(f"{result.name}, {part}", result.top[part]) for result, part in parts]
    return lines


def ruler(head: Sequence[str]) -> str:
    return "|" + " --- |" * len(head)


def cells(result: Result) -> list[str]:
    cache = None if result.cache is None else result.cache / 1e9
    ends = [shown(cache, 2), shown(result.groups, 0), shown(result.start, 1), shown(result.warming, 2)]
    ends += [result.call, result.note.replace("|", "/")]
    if not result.rounds:
        return [*[""] * (len(HEAD) - 1 - len(ends)), *ends]
    runs = {True: "yes", False: "no", None: ""}[result.asynchronous]
    each = " ".join(f"{found['seconds']:.2f}" for found in result.rounds)
    values = [middle(result, "seconds"), middle(result, "adding")]
    values += [middle(result, "prefill", "seconds"), middle(result, "prefill", "steps", decimals=0)]
    values += [middle(result, "prefill", "tokens", decimals=0), middle(result, "decoding", "seconds")]
    values += [middle(result, "decoding", "steps", decimals=0), middle(result, "tokens", decimals=0)]
    values += [middle(result, "chunks", "seconds"), middle(result, "chunks", "steps", decimals=0)]
    values += [middle(result, "most", decimals=0)]
    values += [middle(result, "connector", name) for name in ("wait_for_save", "waiting", "request_finished")]
    return [runs, each, *values, middle(result, "mib", decimals=1), *ends]


def middle(result: Result, *path: str, decimals: int = 3) -> str:
    """Median over the rounds of the value at ``path``, empty where no round has the value."""
    found = [value for value in (at(found, path) for found in result.rounds) if value is not None]
    return shown(median(found), decimals) if found else ""


def at(found: Any, path: Sequence[str]) -> Any:
    for name in path:
        found = found.get(name) if found else None
    return found


def shown(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def gpu_cells(result: Result, part: str) -> list[str]:
    spent = result.gpu[part]
    return [
        *(shown(spent.get(share, 0.0), 3) for share in SHARES),
        shown(sum(spent.values()), 3),
        shown(result.profiled, 2),
    ]


def top_line(name: str, kernels: dict[str, float]) -> str:
    return f"- {name}: " + ", ".join(f"{seconds:.3f} s `{kernel}`" for kernel, seconds in kernels.items())
