"""A `small` HySparse policy for the tiny world, trained for seconds, and candidates for it to judge."""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import torch

from data.jsonl import write_jsonl
from judgerlvr.tinyworld.making.checkpoint import save_checkpoint
from judgerlvr.tinyworld.making.model import fresh_model, make_config
from judgerlvr.tinyworld.making.sft import SFTConfig, train
from judgerlvr.tinyworld.task import World
from judgerlvr.tinyworld.tokenizer import train_tokenizer
from judgerlvr.tinyworld.trace_parsing import read_response
from judgerlvr.tinyworld.traces import Tracer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# The preset's shape, with the tiny base's blocks, window and QK norm, so that texts of 90 tokens must choose.
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
MOST_STEPS = 100_000  # more than --seconds allows
WORKERS = 6 if DEVICE == "cuda" else 0


def make_policy(out: Path, options: argparse.Namespace) -> None:
    """Train on the mixture of the shipped bases, in bfloat16 products, and save."""
    tokenizer = train_tokenizer()
    shape = SMALL | ({"num_hidden_layers": 5, "hidden_size": 64, "head_dim": 32} if options.tiny else {})
    model = fresh_model(make_config("hysparse", tokenizer, shape), seed=0).to(DEVICE)
    print(f"{model.num_parameters() / 1e6:.1f} M parameters, {model.config.selection}", flush=True)
    # RL rounds products to bfloat16 on a GPU. This training does the same.
    config = SFTConfig(lr=6e-4, warmup=60, steps=MOST_STEPS, seconds=options.seconds, workers=WORKERS, half=True)
    train(model, tokenizer, Tracer(World()), config)
    save_checkpoint(model, tokenizer, out)


def write_candidates(out: Path, problems: int) -> None:
    """Solutions in the style of the base models: a right and a wrong solution of each training problem."""
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
