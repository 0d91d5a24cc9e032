"""Train a base of the tiny world with twice the layers of a shipped base, for the search of full layers.

    python -m benchmarks.hysparse.deeper_base OUT --architecture qwen3 --steps 300

The layers of the shipped base are stacked twice, and each layer adds half of its output. Training then goes on with
texts of the same kind. A base from nothing takes hours on a CPU. Late layers look things up too, so full layers at the
beginning have no advantage by construction.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from judgerlvr.tinyworld.making.all_experts import use_all_experts
from judgerlvr.tinyworld.making.checkpoint import base_path, save_checkpoint
from judgerlvr.tinyworld.making.model import fresh_model, has_experts, make_config
from judgerlvr.tinyworld.making.sft import SFTConfig, train
from judgerlvr.tinyworld.task import World
from judgerlvr.tinyworld.tokenizer import train_tokenizer
from judgerlvr.tinyworld.traces import Tracer

# What a layer adds to the residual stream comes out of these products.
OUTPUTS = ("o_proj.weight", "down_proj.weight", "experts.down_proj")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the checkpoint")
    parser.add_argument("--architecture", choices=("qwen3", "qwen3_moe"), default="qwen3")
    parser.add_argument("--rows", type=int, default=16, help="examples a step")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=math.inf, help="training ends then, in place of --steps")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw texts")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def stacked(weights: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Weights of ``layers`` layers twice, with halved outputs."""
    found = {}
    for name, weight in weights.items():
        if not name.startswith("model.layers."):
            found[name] = weight
            continue
        number, rest = name.removeprefix("model.layers.").split(".", 1)
        for copy in range(2):
            halved = weight / 2 if rest.endswith(OUTPUTS) else weight
            found[f"model.layers.{int(number) + copy * layers}.{rest}"] = halved
    return found


def deeper(architecture: str, seed: int) -> PreTrainedModel:
    """The shipped base with its layers twice, in fp32."""
    source = AutoModelForCausalLM.from_pretrained(base_path(architecture), dtype=torch.float32)
    layers = source.config.num_hidden_layers
    config = make_config(architecture, train_tokenizer(), {"num_hidden_layers": 2 * layers})
    model = fresh_model(config, seed)
    model.load_state_dict(stacked(source.state_dict(), layers))
    return model


def make(out: Path, architecture: str, device: str, **limits: Any) -> str:
    """Train, store the model in ``out``, and return what was done. ``limits`` go to SFTConfig."""
    model = deeper(architecture, limits["seed"]).to(device)
    if device != "cpu" and has_experts(model.config):
        use_all_experts(model)
    config = SFTConfig(chunks=1, warmup=10, **limits)
    losses = train(model, train_tokenizer(), Tracer(World()), config)
    last = sum(losses[-50:]) / len(losses[-50:])
    save_checkpoint(model, train_tokenizer(), out)
    return f"{len(losses)} steps of {config.rows} examples: loss {losses[0]:.4f}, {last:.4f} in the last 50 steps"


def main() -> int:
    options = parse_arguments()
    limits = {name: getattr(options, name) for name in ("rows", "steps", "lr", "seed", "seconds", "workers")}
    print(make(options.out, options.architecture, options.device, **limits))
    return 0


if __name__ == "__main__":
    sys.exit(main())
