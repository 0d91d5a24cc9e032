"""Conversion of a Qwen3 or Qwen3-MoE model into a HySparse model, without training."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PretrainedConfig, PreTrainedModel

from judgerlvr.hysparse.attention import SparseAttention
from judgerlvr.hysparse.config import HySparseConfig
from judgerlvr.hysparse.modeling import HySparseForCausalLM
from judgerlvr.hysparse.options import InitialValues
from rewards.errors import InputError

SOURCES = ("qwen3", "qwen3_moe")
# Beyond this logit a float32 sigmoid is 0 or 1 to its last bit.
SATURATED = 20.0
COPIED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "tie_word_embeddings",
    "rope_parameters",
    "attention_bias",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "dtype",
)
COPIED_EXPERTS = (
    "num_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "norm_topk_prob",
    "decoder_sparse_step",
    "mlp_only_layers",
    "router_aux_loss_coef",
)


def config_from(source: PretrainedConfig, **changes: Any) -> HySparseConfig:
    """Configuration with the source's sizes and with HySparse's settings from ``changes``.

    Raises InputError for a source of another family, and for a source with window layers of its own.
    """
    if source.model_type not in SOURCES:
        raise InputError(f"cannot convert a {source.model_type!r} model", f"start from one of {', '.join(SOURCES)}")
    if source.sliding_window is not None:
        raise InputError("the source has window layers of its own", "start from a model with full attention throughout")
    names = COPIED + (COPIED_EXPERTS if source.model_type == "qwen3_moe" else ())
    fields = {name: getattr(source, name) for name in names}
    return HySparseConfig(**{**fields, "qk_norm": True, "gate_bias": True, **changes})


def convert(source: PreTrainedModel, start: InitialValues | None = None, **changes: Any) -> HySparseForCausalLM:
    """HySparse model with the weights and the dtype of the source. ``changes`` go to HySparseConfig.

    Raises InputError in the cases of ``config_from``, and ValueError for settings that no model can have.
    """
    model = HySparseForCausalLM(config_from(source.config, **changes)).to(source.dtype)
    missing, unexpected = model.load_state_dict(source.state_dict(), strict=False)
    if unexpected:
        raise InputError(f"{unexpected[0]} has no place in this configuration", "keep branches=both")
    new = [name for name in missing if ".g_" not in name and "sinks" not in name]
    if new:
        raise InputError(f"the source has no {new[0]}", "leave gate_full, sinks_full and qk_norm at their defaults")
    neutralise(model, start or InitialValues())
    return model


@torch.no_grad()
def neutralise(model: HySparseForCausalLM, start: InitialValues) -> None:
    """Set every gate and sink of the sparse layers to the values of ``start``."""
    for layer in model.modules():
        if not isinstance(layer, SparseAttention):
            continue
        set_gate(layer.g_sparse, start.gate_sparse)
        set_gate(layer.g_swa, start.gate_window)
        for name in ("sinks_sparse", "sinks_swa"):
            sinks = getattr(layer, name)
            if sinks is not None:
                setattr(layer, name, nn.Parameter(torch.full_like(sinks, start.sink, dtype=torch.float32)))


def set_gate(gate: nn.Linear | None, value: float) -> None:
    """Make the gate ``value`` for every input."""
    if gate is None:
        return
    logit = math.log(value / (1 - value)) if 0 < value < 1 else math.copysign(math.inf, value - 0.5)
    gate.weight.zero_()
    gate.bias.fill_(max(-SATURATED, min(SATURATED, logit)))


def source_directory(source: Path) -> Path:
    """The directory. Raises InputError if the directory holds no model."""
    if not (source / "config.json").is_file():
        raise InputError("no model there", "give a directory with config.json and weights", file=source)
    return source


def changes_of(options: argparse.Namespace) -> dict[str, Any]:
    """Configuration fields of ``add_options``' options. Raises InputError for settings that no model can have."""
    changes = {
        "sparse_ratio": options.sparse_ratio,
        "select_block": options.select_block,
        "select_tokens": options.select_tokens,
        "sliding_window": options.window,
    }
    try:
        config_from(AutoConfig.from_pretrained(source_directory(options.source)), **changes)
    except ValueError as error:
        raise InputError(str(error), "change the options") from error
    return changes


def run(options: argparse.Namespace) -> None:
    """Convert and save model, tokenizer and the model's code."""
    changes, start = changes_of(options), InitialValues(options.gate_sparse, options.gate_window)
    model = convert(AutoModelForCausalLM.from_pretrained(options.source, dtype="auto"), start, **changes)
    model.save_pretrained(options.out)
    AutoTokenizer.from_pretrained(options.source).save_pretrained(options.out)
    kinds = " ".join(kind[0] for kind in model.config.kinds)
    print(f"{options.out}: {model.num_parameters() / 1e6:,.1f} M parameters, layers {kinds}")
