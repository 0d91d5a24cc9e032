"""Model directories for `python -m judgerlvr.hysparse.agreement`: HySparse and full-attention twins, random weights.

    python -m benchmarks.hysparse.agreement_models OUT_DIR [--only small slice80b-full]

``small`` is the preset. ``slice80b`` has the 80B-A3B's width, heads and experts in 4 layers, one full and three sparse
(7.3 B parameters, 15 GB). A twin "-full" has the same numbers in every tensor of the same name. Matrices keep variance.
The last norm is scaled so that the next token's distribution has an entropy of --entropy nats. Router logits have a
standard deviation of --router. At 1, as drawn, rounding alone reroutes so many tokens that nothing else is visible. At
6, most of the difference remains when experts are replayed.
"""

from __future__ import annotations

import argparse
import json
import os
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.hysparse.kernels.case import DEVICE
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.model.presets import preset
from judgerlvr.hysparse.model.remote_code import remove_code

TWIN: dict[str, Any] = {"sparse_ratio": 0, "gate_full": True, "sinks_full": True}
SLICE: dict[str, Any] = {"num_hidden_layers": 4, "sparse_ratio": 3, "closing_full": False}
TINY: dict[str, Any] = {
    "hidden_size": 64,
    "head_dim": 32,
    "vocab_size": 512,
    "select_block": 16,
    "select_tokens": 64,
    "sliding_window": 32,
}
TINY_OF = {"small": {"num_hidden_layers": 5}, "slice80b": {"num_experts": 32, "moe_intermediate_size": 32}}
NAMES = ("small", "small-full", "slice80b", "slice80b-full")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--entropy", type=float, default=2.5, help="nats, of the next token")
    parser.add_argument("--router", type=float, default=2.0, help="factor on routers")
    parser.add_argument("--tiny", action="store_true", help="toy sizes, for a CPU")
    return parser.parse_args()


def configuration(name: str, tiny: bool) -> HySparseConfig:
    base = name.removesuffix("-full")
    changes: dict[str, Any] = {"architectures": ["HySparseForCausalLM"], "dtype": "bfloat16"}
    changes |= {"max_position_embeddings": 32_768} | (SLICE if base == "slice80b" else {})
    changes |= TINY | TINY_OF[base] if tiny else {}
    return preset("small" if base == "small" else "80b-a3b", **(changes | (TWIN if name != base else {})))


def scale_for(entropy: float, vocabulary: int) -> float:
    """Standard deviation of Gaussian logits whose softmax has this entropy in the mean."""
    rows = torch.randn(32, vocabulary, generator=torch.Generator().manual_seed(0))
    low, high = 0.0, 30.0
    for _ in range(14):
        middle = (low + high) / 2
        log_p = (middle * rows).log_softmax(1)
        too_flat = -(log_p.exp() * log_p).sum(1).mean() > entropy
        low, high = (middle, high) if too_flat else (low, middle)
    return low


def drawn(name: str, shape: torch.Size, config: HySparseConfig, options: argparse.Namespace) -> Tensor:
    """A tensor that depends on its name and shape alone. Sinks are float32."""
    draw = torch.Generator(DEVICE).manual_seed(zlib.crc32(name.encode()))
    if name.endswith("norm.weight"):
        last = name == "model.norm.weight"
        value = scale_for(options.entropy, config.vocab_size) if last else 1.0
        return torch.full(shape, value, dtype=torch.bfloat16)
    if "sinks" in name:
        return torch.empty(shape, device=DEVICE).normal_(generator=draw).cpu()
    scale = (config.hidden_size if "embed" in name else shape[-1]) ** -0.5
    scale *= options.router if name.endswith("mlp.gate.weight") else 1.0
    return torch.empty(shape, device=DEVICE, dtype=torch.bfloat16).normal_(0.0, scale, generator=draw).cpu()


def file_of(name: str) -> str:
    """One file a layer. The experts have a file of their own, so that a twin may share the other files."""
    if ".layers." not in name:
        return "outer.safetensors"
    return f"layer{name.split('.')[2]}{'-experts' if '.experts.' in name else ''}.safetensors"


def write(name: str, options: argparse.Namespace) -> None:
    config, out = configuration(name, options.tiny), options.out / name
    out.mkdir(parents=True)
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in HySparseForCausalLM(config).state_dict().items()}
    if config.tie_word_embeddings:
        del shapes["lm_head.weight"]
    files: dict[str, list[str]] = defaultdict(list)
    for key in shapes:
        files[file_of(key)].append(key)
    for file, keys in files.items():
        same = options.out / name.removesuffix("-full") / file
        if "experts" in file and same.exists() and same.parent != out:
            os.link(same, out / file)
        else:
            save_file({key: drawn(key, shapes[key], config, options) for key in keys}, out / file, {"format": "pt"})
    total = sum((out / file).stat().st_size for file in files)
    index = {"metadata": {"total_size": total}, "weight_map": {key: file_of(key) for key in shapes}}
    (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    config.save_pretrained(out)
    remove_code(out)
    parameters = sum(shape.numel() for shape in shapes.values())
    print(f"{name}: {parameters / 1e6:,.1f} M parameters, {total / 1e9:.2f} GB", flush=True)


def main() -> int:
    options = parse_arguments()
    for name in options.only:
        write(name, options)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
