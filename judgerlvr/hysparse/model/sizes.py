"""Parameters, KV bytes and arithmetic of a HySparse configuration beside other arrangements of its layers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.layout import LayerRow, letters
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.model.presets import INFERRED, PRESETS, preset
from rewards.errors import InputError, reading
from rewards.wording import counted

KIB, MIB = 2**10, 2**20
# Bytes of an element of the KV cache. Scales of an 8-bit cache are not counted.
KV_BYTES = {"bf16": 2, "fp8": 1}
# A query-key pair costs a multiply and an add for each dimension of its key and of its value.
FLOPS_PER_PAIR_AND_DIM = 2


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


def costs(
    rows: Sequence[LayerRow], select_tokens: int, context: int, batch: int, kv: str = "bf16", early: int | None = None
) -> Costs:
    """Costs of the layers ``rows``, of which those that read a selection see ``select_tokens`` keys.

    A layer that reads another layer's keys stores none of them. ``kv`` is the cache's dtype in ``KV_BYTES``. The first
    ``early`` layers run over the whole prompt, and the layers after them over its last token. None means all layers.
    """
    held = sum(kept(row, context) * row.kv_heads * (row.key_dim + row.value_dim) for row in rows)
    prefill = decode = 0
    for row in rows:
        flops = FLOPS_PER_PAIR_AND_DIM * row.heads * (row.key_dim + row.value_dim)
        for most in seen(row, select_tokens, context):
            last = flops * min(context, most)
            prefill += flops * pairs(context, most) if early is None or row.layer < early else last
            decode += last
    return Costs(batch * held * KV_BYTES[kv], batch * prefill, batch * decode)


def kept(row: LayerRow, context: int) -> int:
    """Tokens of a sequence whose K and V the layer stores."""
    return context if row.full else min(context, row.window or 0)


def seen(row: LayerRow, select_tokens: int, context: int) -> list[int]:
    """Most keys that a query sees in each branch of the layer."""
    everything = [] if row.keys is None else [select_tokens if row.chosen else context]
    return everything if row.window is None else [*everything, row.window]


def all_full(row: LayerRow) -> LayerRow:
    """The row of a layer that sees everything by keys of its own."""
    return replace(row, keys=row.layer, projects=row.layer, chosen=0, window=None)


def window_only(row: LayerRow, window: int | None) -> LayerRow:
    """The row of a layer that sees the last ``window`` tokens by keys of its own."""
    return replace(row, keys=None, projects=row.layer, chosen=0, window=window)


def arrangements(config: HySparseConfig, context: int, batch: int, kv: str = "bf16") -> dict[str, Costs]:
    """The model itself first, then the model with full attention everywhere, and its window hybrid."""
    rows, early = config.rows, config.self_decoder_layers or None
    near = [row if row.full else window_only(row, config.sliding_window) for row in rows]
    sizes = (config.select_tokens, context, batch, kv)
    return {
        own_name(config): costs(rows, *sizes, early),
        "full attention": costs([all_full(row) for row in rows], *sizes),
        "window hybrid": costs(near, *sizes),
    }


def own_name(config: HySparseConfig) -> str:
    """What the configuration's own arrangement is called in ``arrangements``."""
    return "HySparse2" if config.self_decoder_layers else "HySparse"


def kinds_in_words(rows: Sequence[LayerRow]) -> str:
    """How many layers of each kind there are."""
    full, windows = sum(row.full for row in rows), sum(row.keys is None for row in rows)
    between = f", {windows} with a window alone" if windows else ""
    return f"{counted(len(rows), 'layer')}, {full} full{between} and {len(rows) - full - windows} sparse"


def report(config: HySparseConfig, context: int, batch: int, kv: str = "bf16") -> str:
    """The figures as text, with ratios against the model itself.

    Values that the paper does not give are marked ``assumed``.
    """
    parameters = count_parameters(config)
    lines = [
        f"{kinds_in_words(config.rows)}; context {context}, batch {batch}, {kv}",
        f"parameters {parameters.total / 1e6:,.1f} M, a token uses {parameters.active / 1e6:,.1f} M, "
        f"gates among them {parameters.gates / 1e6:,.1f} M",
    ]
    shown = {"layer_types": letters(config.kinds)}
    for name in config.assumed or ():
        why = f", {INFERRED[name]}" if name in INFERRED else ""
        lines.append(f"assumed: {name} = {shown.get(name) or getattr(config, name)}{why}")
    rows = arrangements(config, context, batch, kv)
    ours = rows[own_name(config)]
    unit, name_of_unit = (MIB, "KV MiB") if ours.kv_bytes >= MIB else (KIB, "KV KiB")
    lines.append(f"{'':16}{name_of_unit:>12}{'x':>7}{'prefill TFLOP':>16}{'x':>7}{'decode GFLOP':>15}{'x':>7}")
    for name, row in rows.items():
        lines.append(
            f"{name:16}{row.kv_bytes / unit:12,.1f}{row.kv_bytes / ours.kv_bytes:7.2f}"
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
        config = HySparseConfig.from_pretrained(name)
    with reading("no model can be built of the configuration", "write the model again", file=file):
        count_parameters(config)
    return config


def print_report(options: argparse.Namespace) -> None:
    """Print the report. Raises InputError as ``load``."""
    print(report(load(options.config), options.context, options.batch, options.kv_dtype))
