"""One vLLM engine of one model at several contexts. ``benchmarks.hysparse.rollouts.run`` starts its process."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

# Steps before the timed steps, and steps under the profiler.
WARM, PROFILED = 6, 4
# Kernels that read or write the cache, choose blocks, or merge parts of attention.
ATTENTION = re.compile("flash|fmha|varlen|combine|decode_kernel|merge_kernel|select_kernel|cache|write_kernel", re.I)
LAYOUTS: dict[str, dict[str, Any]] = {
    "36": {"num_hidden_layers": 36, "sparse_ratio": 3, "num_attention_heads": 32, "num_key_value_heads": 8},
    "49": {"num_hidden_layers": 49, "sparse_ratio": 11, "num_attention_heads": 64, "num_key_value_heads": 4},
}
TITLES = {"36": "36 layers 1:3, 32/8 heads", "49": "49 layers 1:11, 64/4 heads"}
TWINS: dict[str, dict[str, Any]] = {
    "hysparse": {},
    "full": {"sparse_ratio": 0, "gate_full": True, "sinks_full": True},
}


@dataclass
class Cell:
    """One model at one context. ``held`` requests fit into the cache with their output, ``ran`` decoded at once."""

    shape: str
    model: str
    context: int
    held: int | None = None
    ran: int | None = None
    steps: int | None = None
    step_ms: float | None = None
    tokens_per_s: float | None = None
    gpu_ms: float | None = None
    attention_share: float | None = None
    prefill_s: float | None = None
    note: str = ""


def configuration(shape: str, model: str, arguments: argparse.Namespace) -> Any:
    from judgerlvr.hysparse.model.presets import preset

    sizes = LAYOUTS[shape] | {
        "hidden_size": arguments.hidden,
        "intermediate_size": arguments.ffn,
        "vocab_size": arguments.vocab,
        "head_dim": arguments.dim,
        "tie_word_embeddings": True,
        "closing_full": False,
        "max_position_embeddings": longest(arguments),
        "architectures": ["HySparseForCausalLM"],
    }
    if arguments.layers:
        sizes["num_hidden_layers"] = arguments.layers
    return preset("small", **(sizes | TWINS[model]))


def longest(arguments: argparse.Namespace) -> int:
    return int(max(arguments.contexts)) + int(arguments.output)


def start(shape: str, model: str, arguments: argparse.Namespace) -> Any:
    """The engine, with made-up weights."""
    from vllm import LLM

    from benchmarks.hysparse.rollouts.noise_connector import TRANSFER

    on_gpu = torch.cuda.is_available()
    folder = tempfile.mkdtemp()
    configuration(shape, model, arguments).save_pretrained(folder)
    graphs = {"compilation_config": {"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY"}}
    graphs = {"compilation_config": {"cudagraph_mode": "FULL_AND_PIECEWISE"}} if arguments.compile else graphs
    return LLM(
        model=folder,
        load_format="dummy",
        skip_tokenizer_init=True,
        dtype="bfloat16" if on_gpu else "float32",
        max_model_len=longest(arguments),
        max_num_seqs=arguments.requests,
        max_num_batched_tokens=arguments.batched,
        enable_prefix_caching=False,
        async_scheduling=arguments.asynchronous,
        kv_cache_memory_bytes=int(arguments.kv_gib * 2**30),
        gpu_memory_utilization=0.85,
        kv_transfer_config=TRANSFER,
        block_size=64,
        seed=0,
        **(graphs if on_gpu else {"enforce_eager": True}),
    )


def capacity(scheduler: Any, tokens: int) -> int:
    """Requests of ``tokens`` tokens that fit. Each group of layers takes a page of its own from one pool."""
    pages = 0
    for group in scheduler.kv_cache_config.kv_cache_groups:
        spec = group.kv_cache_spec
        window = getattr(spec, "sliding_window", None)
        seen = tokens if window is None else min(tokens, window + spec.block_size)
        pages += -(-seen // spec.block_size)
    return int((scheduler.kv_cache_config.num_blocks - 1) // pages)


class Driver:
    """Requests through an engine that lives in this process."""

    def __init__(self, llm: Any, vocab: int) -> None:
        self.engine = llm.llm_engine
        self.scheduler = self.engine.engine_core.engine_core.scheduler
        self.vocab, self.made = vocab, 0

    def add(self, context: int, output: int, computed: bool) -> None:
        from vllm import SamplingParams, TokensPrompt

        from benchmarks.hysparse.rollouts.noise_connector import COMPUTED

        draw = torch.Generator().manual_seed(self.made)
        prompt = torch.randint(0, self.vocab, (context,), generator=draw).tolist()
        sampling = SamplingParams(
            temperature=0.0,
            max_tokens=output,
            ignore_eos=True,
            detokenize=False,
            extra_args=COMPUTED if computed else None,
        )
        self.made += 1
        self.engine.add_request(str(self.made), TokensPrompt(prompt_token_ids=prompt), sampling)

    def step(self) -> float:
        """Seconds of one step. The tokens of the step are on the host when the call returns."""
        begun = time.perf_counter()
        self.engine.step()
        return time.perf_counter() - begun

    def clear(self) -> None:
        """End every request."""
        left = [*self.scheduler.running, *self.scheduler.waiting]
        self.engine.abort_request([request.request_id for request in left], internal=True)
        while self.engine.has_unfinished_requests():
            self.engine.step()

    def prefill(self, context: int) -> float:
        """Seconds from one prompt's arrival to its first token."""
        self.add(context, 1, computed=False)
        spent = 0.0
        while self.engine.has_unfinished_requests():
            spent += self.step()
        return spent


def measure(driver: Driver, cell: Cell, arguments: argparse.Namespace, until: float) -> None:
    """Fill in the cell: prefill of one prompt, then decoding of as many requests as the cache holds."""
    driver.prefill(cell.context)
    cell.prefill_s = driver.prefill(cell.context)
    cell.held = capacity(driver.scheduler, cell.context + arguments.output)
    count = min(cell.held, arguments.requests)
    if count < cell.held:
        cell.note = f"of {cell.held} that fit, --requests lets {count} run"
    for _ in range(count):
        driver.add(cell.context, arguments.output, computed=True)
    for _ in range(WARM):
        driver.step()
    cell.ran = len(driver.scheduler.running)
    profile(driver, cell)
    times = []
    while len(driver.scheduler.running) == cell.ran and len(times) < arguments.steps:
        if time.time() > until and len(times) >= WARM:
            break
        times.append(driver.step())
    cell.steps, cell.step_ms = len(times), 1e3 * median(times)
    # By the median as well: a first step is planned while the step before still runs, so a mean of few is too high.
    cell.tokens_per_s = cell.ran / median(times)


def profile(driver: Driver, cell: Cell) -> None:
    """Time of a step's kernels on the GPU, and the share of the kernels that ATTENTION names."""
    if not torch.cuda.is_available():
        for _ in range(PROFILED):
            driver.step()
        return
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
        for _ in range(PROFILED):
            driver.step()
        torch.cuda.synchronize()
    spent = {event.key: event.self_device_time_total for event in seen.key_averages()}
    total = sum(spent.values())
    if total:
        cell.gpu_ms = total / PROFILED / 1e3
        cell.attention_share = sum(time for key, time in spent.items() if ATTENTION.search(key)) / total
        costly = sorted(spent.items(), key=lambda item: -item[1])[:8]
        named = "; ".join(f"{time / PROFILED / 1e3:.3f} {key[:60]}" for key, time in costly)
        print(f"  ms a step of {cell.shape}/{cell.model}/{cell.context}: {named}", flush=True)


def run(shape: str, model: str, contexts: list[int], arguments: argparse.Namespace, record: Path) -> None:
    """Wait for a line on stdin, which says that the GPU is free and until when. Then measure all cells."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    from vllm import ModelRegistry

    from judgerlvr.hysparse.vllm import ARCHITECTURE, register
    from judgerlvr.hysparse.vllm.model import HySparseForCausalLM

    # A class here: by name, vLLM would import everything again in another process to inspect the class.
    ModelRegistry.register_model(ARCHITECTURE, HySparseForCausalLM)
    register()
    end = float(sys.stdin.readline())
    driver = Driver(start(shape, model, arguments), arguments.vocab)
    for number, context in enumerate(contexts):
        cell, now = Cell(shape, model, context), time.time()
        try:
            if now >= end:
                cell.note = "skipped: out of time"
            else:
                measure(driver, cell, arguments, now + (end - now) / (len(contexts) - number))
        except Exception as error:  # noqa: BLE001 - whatever one cell raises must not lose the others
            cell.note = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        with record.open("a") as file:
            file.write(json.dumps(asdict(cell)) + "\n")
        print(line(cell), flush=True)
        driver.clear()


def line(cell: Cell) -> str:
    decimals = {"tokens_per_s": 0, "step_ms": 2, "gpu_ms": 2, "attention_share": 2, "prefill_s": 2}
    values = asdict(cell) | {"shape": TITLES[cell.shape], "note": cell.note.replace("|", "/")}
    shown = [
        "" if value is None else f"{value:.{decimals[name]}f}" if name in decimals else str(value)
        for name, value in values.items()
    ]
    return f"| {' | '.join(shown)} |"
