"""Parameters, KV bytes and arithmetic of a HySparse configuration beside other arrangements of its layers."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from judgerlvr.hysparse.config import HySparseConfig
from judgerlvr.hysparse.layout import FULL
from judgerlvr.hysparse.modeling import HySparseForCausalLM
from judgerlvr.hysparse.presets import PRESETS, preset
from rewards.errors import InputError, reading
from rewards.wording import counted

MIB = 2**20
BFLOAT16 = 2
# A query-key pair costs a multiply and an add a dimension, once for its logit and once for its value.
FLOPS_PER_PAIR_AND_DIM = 4


@dataclass(frozen=True)
class Costs:
    """Figures of one arrangement of layers for the whole batch. FLOPs count attention only."""

    kv_bytes: int
    prefill_flops: int
    decode_flops: int


@dataclass(frozen=True)
class Parameters:
    """``active`` counts the experts that one token uses. ``gates`` is the part of the total that gates take."""

    total: int
    active: int
    gates: int


def count_parameters(config: HySparseConfig) -> Parameters:
    """Parameters of the model, built without allocating it."""
    with torch.device("meta"):
        model = HySparseForCausalLM(config)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    total = sum(sizes.values())
    experts = sum(size for name, size in sizes.items() if ".experts." in name)
    idle = experts - experts * config.num_experts_per_tok // config.num_experts if config.num_experts else 0
    gates = sum(size for name, size in sizes.items() if ".g_" in name or ".self_attn.gate." in name)
    return Parameters(total, total - idle, gates)


def pairs(tokens: int, most: int) -> int:
    """Query-key pairs of a causal sequence in which a query sees at most its last or best ``most`` keys."""
    short = min(tokens, most)
    return short * (short + 1) // 2 + (tokens - short) * most


def costs(config: HySparseConfig, full_layers: int, shared: int, window: int, context: int, batch: int) -> Costs:
    """Costs with ``full_layers`` full layers and the rest sparse.

    A sparse layer attends to ``shared`` selected keys without storing them, and to ``window`` own keys that the layer
    stores.
    """
    others = config.num_hidden_layers - full_layers
    token_bytes = 2 * config.num_key_value_heads * config.head_dim * BFLOAT16
    held = full_layers * context + others * min(context, window)
    flops = FLOPS_PER_PAIR_AND_DIM * config.num_attention_heads * config.head_dim
    prefill = full_layers * pairs(context, context) + others * (pairs(context, shared) + pairs(context, window))
    decode = full_layers * context + others * (min(context, shared) + min(context, window))
    return Costs(batch * held * token_bytes, batch * flops * prefill, batch * flops * decode)


def arrangements(config: HySparseConfig, context: int, batch: int) -> dict[str, Costs]:
    """HySparse, the same model with full attention everywhere, and its window hybrid."""
    full, window = config.kinds.count(FULL), config.sliding_window or 0
    return {
        "HySparse": costs(config, full, config.select_tokens, window, context, batch),
        "full attention": costs(config, config.num_hidden_layers, 0, 0, context, batch),
        "window hybrid": costs(config, full, 0, window, context, batch),
    }


def report(config: HySparseConfig, context: int, batch: int) -> str:
    """The figures as text, with ratios against HySparse. Values that the paper does not give are marked ``assumed``."""
    parameters = count_parameters(config)
    layers, full = config.num_hidden_layers, config.kinds.count(FULL)
    lines = [
        f"{counted(layers, 'layer')}, {full} full and {layers - full} sparse; context {context}, batch {batch}, bf16",
        f"parameters {parameters.total / 1e6:,.1f} M, a token uses {parameters.active / 1e6:,.1f} M, "
        f"gates among them {parameters.gates / 1e6:,.1f} M",
    ]
    lines += [f"assumed: {name} = {getattr(config, name)}" for name in config.assumed or ()]
    rows = arrangements(config, context, batch)
    ours = rows["HySparse"]
    lines.append(f"{'':16}{'KV MiB':>12}{'x':>7}{'prefill TFLOP':>16}{'x':>7}{'decode GFLOP':>15}{'x':>7}")
    for name, row in rows.items():
        lines.append(
            f"{name:16}{row.kv_bytes / MIB:12,.1f}{row.kv_bytes / ours.kv_bytes:7.2f}"
            f"{row.prefill_flops / 1e12:16,.2f}{row.prefill_flops / ours.prefill_flops:7.2f}"
            f"{row.decode_flops / 1e9:15,.3f}{row.decode_flops / ours.decode_flops:7.2f}"
        )
    return "\n".join(lines)


def load(name: str) -> HySparseConfig:
    """Configuration of a preset or of a model directory. Raises InputError if ``name`` is neither."""
    if name in PRESETS:
        return preset(name)
    file = Path(name) / "config.json"
    if not file.is_file():
        raise InputError(f"no preset and no model directory {name!r}", f"choose one of {', '.join(PRESETS)}")
    with reading("not a configuration", "write the model again", file=file):
        kind = json.loads(file.read_text(encoding="utf-8")).get("model_type")
    if kind != HySparseConfig.model_type:
        raise InputError("not a HySparse model", "convert it with judgerlvr.hysparse.convert", file=file)
    with reading("transformers cannot read the configuration", "write the model again", file=file):
        return HySparseConfig.from_pretrained(name)


def print_report(options: argparse.Namespace) -> None:
    """Print the report. Raises InputError as ``load``."""
    print(report(load(options.config), options.context, options.batch))
