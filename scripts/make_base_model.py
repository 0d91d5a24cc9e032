#!/usr/bin/env python3
"""Pretrain a base model of the tiny world and check it: a minute or two on a GPU, hours on a CPU.

python scripts/make_base_model.py --architecture qwen3_moe --out DIR
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from judgerlvr.tinyworld.making.acceptance import measure
from judgerlvr.tinyworld.making.all_experts import use_all_experts
from judgerlvr.tinyworld.making.checkpoint import save_checkpoint
from judgerlvr.tinyworld.making.intervals import table
from judgerlvr.tinyworld.making.model import SHAPES, fresh_model, has_experts, make_config
from judgerlvr.tinyworld.making.sft import SFTConfig, train
from judgerlvr.tinyworld.task import World
from judgerlvr.tinyworld.tokenizer import train_tokenizer
from judgerlvr.tinyworld.traces import Tracer


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", choices=sorted(SHAPES), default="qwen3_moe")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--steps", type=int, default=SFTConfig.steps)
    parser.add_argument("--rows", type=int, default=SFTConfig.rows, help="examples a step")
    parser.add_argument("--lr", type=float, default=SFTConfig.lr)
    parser.add_argument("--warmup", type=int, default=SFTConfig.warmup, help="steps")
    parser.add_argument("--seconds", type=float, default=math.inf, help="end the schedule after this time")
    parser.add_argument("--seed", type=int, default=SFTConfig.seed)
    parser.add_argument("--workers", type=int, default=0, help="processes that write traces")
    parser.add_argument("--gate-problems", type=int, default=400, help="0: do not check")
    return parser.parse_args()


def pretrain(options: argparse.Namespace, tracer: Tracer, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    model = fresh_model(make_config(options.architecture, tokenizer), options.seed)
    if torch.cuda.is_available():
        model = model.to("cuda")
        if has_experts(model.config):
            use_all_experts(model)
    config = SFTConfig(
        steps=options.steps,
        rows=options.rows,
        lr=options.lr,
        warmup=options.warmup,
        seconds=options.seconds,
        seed=options.seed,
        workers=options.workers,
    )
    losses = train(model, tokenizer, tracer, config)
    print(f"sft ended after {len(losses)} steps: loss {losses[0]:.4f} to {losses[-1]:.4f}")
    return model


def main() -> int:
    options = parse_arguments()
    tokenizer, tracer = train_tokenizer(), Tracer(World())
    model = pretrain(options, tracer, tokenizer)
    save_checkpoint(model, tokenizer, options.out)
    if not options.gate_problems:
        return 0
    # Saving rounded the weights to bf16. RL loads the rounded weights as fp32, so the rounded weights are checked.
    gates = measure(model.float(), tokenizer, tracer, problems=options.gate_problems)
    print(table(gates))
    return 0 if all(gate.passed for gate in gates) else 1


if __name__ == "__main__":
    sys.exit(main())
