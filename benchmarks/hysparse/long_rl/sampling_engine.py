"""Rounds of sampling through one vLLM engine in this process. `sampling.py` starts the process."""

from __future__ import annotations

import argparse
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import torch

from benchmarks.hysparse.long_rl.options import rl_task
from benchmarks.hysparse.long_rl.sampling_rounds import Event, Result, Round, split
from benchmarks.hysparse.long_rl.sampling_variants import Engine, Variant
from benchmarks.hysparse.long_rl.stages import SLACK
from benchmarks.hysparse.long_rl.task import HELDOUT, examples
from judgerlvr.hysparse.replay.rollout_choices import KEY, REQUEST, TRANSFER

PROBLEMS = HELDOUT + 3  # seed. Looks, landing and fresh problems have those below
BATCHED = 8192  # verl's tokens of an engine step
PREFILL, DECODING = PARTS = "prefill", "decoding"
TOP = 8  # kernels that are named
# The first group whose pattern a kernel's name has. FlashAttention serves the twin and the windows of HySparse.
GROUPS = {
    "attention": "flash|fmha|varlen|combine|forward_kernel|decode_kernel|split_kernel|partial_kernel|merge_kernel",
    "choice": "select_kernel|threshold_kernel|union_kernel|count_kernel|fill_kernel|slot_kernel|sort",
    "cache": "cache|write_kernel|gather_kernel",
    "copies": "memcpy|memset",
}


def group_of(kernel: str) -> str:
    return next((name for name, pattern in GROUPS.items() if re.search(pattern, kernel, re.I)), "other")


def register_policies() -> None:
    """Import what an engine needs, and make vLLM know the policies."""
    from vllm import ModelRegistry

    from judgerlvr.hysparse.vllm import ARCHITECTURE, register
    from judgerlvr.hysparse.vllm.model import HySparseForCausalLM

    # A class here: by name, vLLM would import everything again in another process to inspect the class.
    ModelRegistry.register_model(ARCHITECTURE, HySparseForCausalLM)
    register()


def start(engine: Engine, options: argparse.Namespace) -> Any:
    """vLLM with the settings of stage 2."""
    from vllm import LLM

    on_gpu, longest = torch.cuda.is_available(), options.prompt_tokens[1] + options.links + SLACK
    return LLM(
        model=str(options.out / "policies" / engine.policy),
        dtype="bfloat16" if on_gpu else "float32",
        max_model_len=longest,
        max_num_seqs=options.prompts * options.samples,
        # On a CPU the seed of a request needs whole prompts, as in training.
        max_num_batched_tokens=BATCHED if on_gpu else max(BATCHED, longest),
        enable_chunked_prefill=on_gpu,
        enable_prefix_caching=True,
        enforce_eager=not on_gpu,
        async_scheduling=engine.asynchronous,
        kv_cache_memory_bytes=options.kv_bytes,
        gpu_memory_utilization=0.3,
        logprobs_mode="processed_logprobs",
        seed=0,
        **({"kv_transfer_config": TRANSFER} if engine.connector else {}),
    )


def steps_of_prompts(options: argparse.Namespace) -> Iterator[list[list[int]]]:
    """Token ids of the prompts of one round after the other."""
    drawn = examples(rl_task(options), PROBLEMS)
    while True:
        yield [example.prompt.tolist() for example in islice(drawn, options.prompts)]


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Spent:
    """Seconds in two methods of the connector, which this class wraps before the engine is made."""

    def __init__(self) -> None:
        from judgerlvr.hysparse.vllm.connector import BlockIndexConnector

        self.seconds: dict[str, float] = defaultdict(float)
        saving = self.timed("wait_for_save", BlockIndexConnector.wait_for_save, waits=True)
        finishing = self.timed("request_finished", BlockIndexConnector.request_finished_all_groups)
        setattr(BlockIndexConnector, "wait_for_save", saving)  # noqa: B010 - mypy refuses a plain assignment
        setattr(BlockIndexConnector, "request_finished_all_groups", finishing)  # noqa: B010

    def timed(self, name: str, method: Callable[..., Any], waits: bool = False) -> Callable[..., Any]:
        """``waits``: the method waits for the GPU's step. The wait is counted apart too, under ``waiting``."""

        def call(*arguments: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            if waits:
                synchronize()
                self.seconds["waiting"] += time.perf_counter() - begun
            found = method(*arguments, **named)
            self.seconds[name] += time.perf_counter() - begun
            return found

        return call

    def take(self) -> dict[str, float]:
        taken, self.seconds = dict(self.seconds), defaultdict(float)
        return taken


class Sampler:
    """An engine and its rounds."""

    def __init__(self, llm: Any, options: argparse.Namespace, spent: Spent | None) -> None:
        self.engine, self.options, self.spent = llm.llm_engine, options, spent
        self.made = self.scheduled = 0
        scheduler = self.engine.engine_core.engine_core.scheduler
        schedule = scheduler.schedule

        def counted(*arguments: Any, **named: Any) -> Any:
            planned = schedule(*arguments, **named)
            self.scheduled += planned.total_num_scheduled_tokens
            return planned

        scheduler.schedule = counted

    def add(self, prompts: list[list[int]], asks: bool) -> None:
        """A request for each sample. As in training, each has a seed, and gets scores of its tokens and no text."""
        from vllm import SamplingParams, TokensPrompt

        order = [(prompt, sample) for prompt in range(len(prompts)) for sample in range(self.options.samples)]
        if self.options.interleaved:
            order.sort(key=lambda pair: pair[1])
        for prompt, sample in order:
            sampling = SamplingParams(
                temperature=1.0,
                max_tokens=self.options.links + SLACK,
                seed=prompt * self.options.samples + sample,
                logprobs=0,
                detokenize=False,
                extra_args=REQUEST if asks else None,
            )
            self.made += 1
            name = f"{prompt}-{sample}-{self.made}"
            self.engine.add_request(name, TokensPrompt(prompt_token_ids=prompts[prompt]), sampling)

    def sample(self, prompts: list[list[int]], asks: bool, between: Callable[[], None] = lambda: None) -> Round:
        """One round. ``between`` is called once each prompt has a token."""
        self.engine.reset_prefix_cache()
        if self.spent:
            self.spent.take()
        synchronize()
        begun, tokens, size, events = time.perf_counter(), 0, 0, []
        self.add(prompts, asks)
        adding, seen = time.perf_counter() - begun, set[int]()
        while self.engine.has_unfinished_requests():
            before, self.scheduled = len(seen), 0
            outputs = self.engine.step()
            answered = frozenset(number_of(output) for output in outputs if output.outputs[0].token_ids)
            events.append(Event(time.perf_counter() - begun, answered, self.scheduled))
            seen |= answered
            if before < len(prompts) == len(seen):
                between()
            ended = [output for output in outputs if output.finished]
            tokens += sum(len(output.outputs[0].token_ids) for output in ended)
            size += sum(len((output.kv_transfer_params or {}).get(KEY, b"")) for output in ended)
        parts = split(events, len(prompts))
        return Round(adding, *parts, tokens, size / 2**20, self.spent.take() if self.spent else {})


def number_of(output: Any) -> int:
    return int(output.request_id.split("-")[0])


def record_of(found: Round) -> dict[str, Any]:
    return asdict(found) | {"seconds": found.seconds}


def measure(sampler: Sampler, variant: Variant, result: Result, until: float) -> None:
    """A first round, timed rounds, and a round under the profiler. ``result`` is filled in as rounds end."""
    rounds = steps_of_prompts(sampler.options)
    result.warming = sampler.sample(next(rounds), variant.asks).seconds
    for _ in range(sampler.options.rounds):
        if time.time() > until:
            result.note = f"out of time after {len(result.rounds)} rounds"
            return
        result.rounds.append(record_of(sampler.sample(next(rounds), variant.asks)))
    if torch.cuda.is_available():
        profile(sampler, next(rounds), variant, result)


def profile(sampler: Sampler, prompts: list[list[int]], variant: Variant, result: Result) -> None:
    """GPU seconds of one round by kernel. A profiler for prefill ends when a second begins, which sees decoding."""
    profilers = {name: torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) for name in PARTS}

    def change() -> None:
        synchronize()
        profilers[PREFILL].stop()
        profilers[DECODING].start()

    profilers[PREFILL].start()
    result.profiled = sampler.sample(prompts, variant.asks, change).seconds
    synchronize()
    profilers[DECODING].stop()
    for name, seen in profilers.items():
        kernels = {event.key: event.self_device_time_total / 1e6 for event in seen.key_averages()}
        result.gpu[name], result.top[name] = grouped(kernels), costly(kernels)


def grouped(kernels: dict[str, float]) -> dict[str, float]:
    """Seconds by group of kernels."""
    spent: dict[str, float] = defaultdict(float)
    for kernel, seconds in kernels.items():
        spent[group_of(kernel)] += seconds
    return dict(spent)


def costly(kernels: dict[str, float]) -> dict[str, float]:
    return {name[:80]: seconds for name, seconds in sorted(kernels.items(), key=lambda item: -item[1])[:TOP]}
