"""A `small` HySparse policy for the tiny world, trained for seconds, and candidates for it to judge."""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from data.reading import write_jsonl
from judgerlvr.tinyworld.checkpoint import save_checkpoint
from judgerlvr.tinyworld.lines import read_response
from judgerlvr.tinyworld.model import fresh_model, make_config
from judgerlvr.tinyworld.sft import IGNORED, Batch, Examples, SFTConfig, learning_rate, response_loss
from judgerlvr.tinyworld.task import World
from judgerlvr.tinyworld.tokenizer import train_tokenizer
from judgerlvr.tinyworld.traces import Tracer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# The preset's shape; blocks, window and QK norm as the tiny base has them, so that texts of 90 tokens must choose.
SMALL = {
    "num_hidden_layers": 13,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "sparse_ratio": 3,
    "max_position_embeddings": 1024,
}
PADDED_TO = 32  # lengths are few, since kernels may be compiled anew for each


def make_policy(out: Path, options: argparse.Namespace) -> None:
    """Train on the mixture of the shipped bases, in bfloat16 products, and save."""
    tokenizer = train_tokenizer()
    shape = SMALL | ({"num_hidden_layers": 5, "hidden_size": 64, "head_dim": 32} if options.tiny else {})
    model = fresh_model(make_config("hysparse", tokenizer, shape), seed=0).to(DEVICE)
    print(f"{model.num_parameters() / 1e6:.1f} M parameters, {model.config.selection}", flush=True)
    train(model, tokenizer, options)
    save_checkpoint(model, tokenizer, out)


def train(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, options: argparse.Namespace) -> None:
    """The schedule of ``sft.train``, timed from the second step on: the first compiles kernels."""
    on_gpu = DEVICE == "cuda"
    config = SFTConfig(lr=6e-4, warmup=60, steps=100_000, seconds=options.seconds, workers=6 if on_gpu else 0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.lr, betas=(0.9, 0.98), fused=on_gpu)
    batches = DataLoader(Examples(Tracer(World()), tokenizer, config), batch_size=None, num_workers=config.workers)
    model.train()
    begun = None
    for step, parts in enumerate(batches):
        elapsed = 0.0 if begun is None else time.monotonic() - begun
        if elapsed >= config.seconds:
            break
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(config, step, elapsed)
        loss = update(model, optimiser, [padded(part, tokenizer.pad_token_id) for part in parts])
        begun = begun or time.monotonic()
        if step % 25 == 0:
            print(f"step {step} loss {loss:.3f} {elapsed:.0f} s", flush=True)
    model.eval()


def update(model: PreTrainedModel, optimiser: torch.optim.Optimizer, parts: list[Batch]) -> float:
    """One step; returns the mean loss of a response token."""
    total = sum(int((labels[:, 1:] != IGNORED).sum()) for _, labels in parts)
    mean = torch.zeros((), device=DEVICE)
    for part in parts:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
            loss = response_loss(model, part, router_loss=0.0)[0] / total
        loss.backward()
        mean += loss.detach()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return mean.item()


def padded(part: Batch, pad: int) -> Batch:
    more = -part[0].shape[1] % PADDED_TO
    return functional.pad(part[0], (0, more), value=pad), functional.pad(part[1], (0, more), value=IGNORED)


def write_candidates(out: Path, problems: int) -> None:
    """Solutions as the base models write them, right and wrong ones: two of each training problem."""
    draw, tracer = random.Random(0), Tracer(World())
    rows: list[dict[str, Any]] = []
    for _ in range(problems):
        chain = tracer.world.sample_split(draw, held_out=False)
        problem = {"id": f"tiny-{chain.digest[:12]}", "problem": chain.text, "gold": str(chain.answer)}
        for sample in range(2):
            response = tracer.solve(draw, chain)
            assert read_response(response).box
            end = {"model": "traces", "sample": sample, "finish_reason": "stop", "tokens": len(response)}
            rows.append(problem | {"response": response} | end)
    write_jsonl(out, rows)
