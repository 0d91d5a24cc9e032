"""Rounds of sampling through one vLLM engine in this process. `sampling.py` starts the process."""

from __future__ import annotations

import argparse
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import torch

from benchmarks.hysparse.long_rl.options import rl_task
from benchmarks.hysparse.long_rl.sampling_rounds import Event, Result, Round, chunks_of, split
from benchmarks.hysparse.long_rl.sampling_variants import HYSPARSE, Engine, Variant
from benchmarks.hysparse.long_rl.stages import SLACK
from benchmarks.hysparse.long_rl.task import HELDOUT, examples
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.ops.kernel_shapes import prefill_reserve
from judgerlvr.hysparse.replay.rollout_choices import KEY, REQUEST, TRANSFER

PROBLEMS = HELDOUT + 3  # seed. Looks, landing and fresh problems have those below
BATCHED = 8192  # verl's tokens of an engine step
PREFILL, DECODING = PARTS = "prefill", "decoding"
TOP = 8  # kernels that are named
# The first group whose pattern a kernel's name has. FlashAttention serves the twin and the windows of HySparse.
GROUPS = {
    "cache": "cache|write_kernel|gather_kernel",
    "attention": "flash|fmha|varlen|combine|forward_kernel|decode_kernel|split_kernel|partial_kernel|merge_kernel",
    "choice": "select_kernel|threshold_kernel|union_kernel|count_kernel|fill_kernel|slot_kernel|sort",
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


def longest_request(options: argparse.Namespace) -> int:
    """Tokens of the longest prompt and its response."""
    return int(options.prompt_tokens[1] + options.links + SLACK)


def cache_bytes(engine: Engine, options: argparse.Namespace) -> int:
    """Bytes of the engine's KV cache. The reserve is that of HySparse's engine on a GPU, for the same requests."""
    if not engine.reserve:
        return int(options.kv_bytes)
    config = HySparseConfig.from_pretrained(options.out / "policies" / HYSPARSE)
    return int(options.kv_bytes) + prefill_reserve(
        longest_request(options), config.num_key_value_heads, config.head_dim
    )


def start(engine: Engine, options: argparse.Namespace) -> Any:
    """vLLM with the settings of stage 2."""
    from vllm import LLM

    on_gpu, longest = torch.cuda.is_available(), longest_request(options)
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
        kv_cache_memory_bytes=cache_bytes(engine, options),
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


class Planned:
    """What a scheduler has planned since the last look: tokens, whether prompts had a part, and most requests."""

    def __init__(self, scheduler: Any) -> None:
        self.tokens, self.chunk, self.most = 0, False, 0
        schedule = scheduler.schedule

        def counted(*arguments: Any, **named: Any) -> Any:
            planned = schedule(*arguments, **named)
            requests = len(planned.num_scheduled_tokens)
            self.tokens += planned.total_num_scheduled_tokens
            # A request that decodes has one token in a step.
            self.chunk |= planned.total_num_scheduled_tokens > requests
            self.most = max(self.most, requests)
            return planned

        scheduler.schedule = counted

    def take(self) -> tuple[int, bool]:
        taken, self.tokens, self.chunk = (self.tokens, self.chunk), 0, False
        return taken


class Sampler:
    """An engine and its rounds."""

    def __init__(self, llm: Any, options: argparse.Namespace, spent: Spent | None) -> None:
        self.engine, self.options, self.spent, self.made = llm.llm_engine, options, spent, 0
        self.asynchronous = bool(self.engine.vllm_config.scheduler_config.async_scheduling)
        self.cache = self.engine.vllm_config.cache_config.kv_cache_memory_bytes
        scheduler = self.engine.engine_core.engine_core.scheduler
        self.groups = len(scheduler.kv_cache_config.kv_cache_groups)
        self.planned = Planned(scheduler)

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
        self.clear()
        begun, ended, events = time.perf_counter(), list[Any](), list[Event]()
        self.add(prompts, asks)
        adding, seen = time.perf_counter() - begun, set[int]()
        while self.engine.has_unfinished_requests():
            outputs = self.engine.step()
            events.append(Event(time.perf_counter() - begun, answered_in(outputs), *self.planned.take()))
            if not events[-1].answered <= seen:
                seen |= events[-1].answered
                if len(seen) == len(prompts):
                    between()
            ended += [output for output in outputs if output.finished]
        tokens = sum(len(output.outputs[0].token_ids) for output in ended)
        size = sum(len((output.kv_transfer_params or {}).get(KEY, b"")) for output in ended) / 2**20
        connector = self.spent.take() if self.spent else {}
        return Round(
            adding, *split(events, len(prompts)), chunks_of(events), tokens, self.planned.most, size, connector
        )

    def clear(self) -> None:
        """Forget the round before."""
        self.engine.reset_prefix_cache()
        self.planned.take()
        self.planned.most = 0
        if self.spent:
            self.spent.take()
        synchronize()


def answered_in(outputs: Iterable[Any]) -> frozenset[int]:
    return frozenset(number_of(output) for output in outputs if output.outputs[0].token_ids)


def number_of(output: Any) -> int:
    return int(output.request_id.split("-")[0])


def record_of(found: Round) -> dict[str, Any]:
    return asdict(found) | {"seconds": found.seconds}


def measure(sampler: Sampler, variant: Variant, result: Result, until: float) -> None:
    """A first round and timed rounds. ``result`` is filled in as rounds end."""
    rounds = steps_of_prompts(sampler.options)
    result.warming = sampler.sample(next(rounds), variant.asks).seconds
    for _ in range(sampler.options.rounds):
        if time.time() > until:
            result.note = f"out of time after {len(result.rounds)} rounds"
            break
        result.rounds.append(record_of(sampler.sample(next(rounds), variant.asks)))


def profile(sampler: Sampler, variant: Variant, result: Result, until: float) -> None:
    """GPU seconds of one further round by kernel. The profiler of prefill stops when the profiler of decoding starts.

    Nothing without a GPU, or once the time is over.
    """
    if not torch.cuda.is_available() or time.time() > until:
        return
    rounds = islice(steps_of_prompts(sampler.options), 1 + sampler.options.rounds, None)
    profilers = {name: torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) for name in PARTS}

    def change() -> None:
        synchronize()
        profilers[PREFILL].stop()
        profilers[DECODING].start()

    profilers[PREFILL].start()
    result.profiled = sampler.sample(next(rounds), variant.asks, change).seconds
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
