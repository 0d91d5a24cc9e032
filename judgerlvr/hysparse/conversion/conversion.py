"""Conversion of a Qwen3 or Qwen3-MoE model into a HySparse model, without training."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeRotaryEmbedding

import judgerlvr.hysparse.model.registration  # noqa: F401  (registers the model type)
from judgerlvr.hysparse.conversion.derived_files import check_copied, check_new, copy_files, folders_above, has_weights
from judgerlvr.hysparse.conversion.options import DEFAULT_RATIO, InitialValues
from judgerlvr.hysparse.conversion.storable import REMEDY, check_storable
from judgerlvr.hysparse.model.attention import SparseAttention
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.layout import beyond_kernels, layer_types, with_full
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.ops.kernel_shapes import accepted, refusals
from judgerlvr.models.configuration import CONFIG, read_config
from judgerlvr.models.finite import is_finite
from judgerlvr.models.generation import check_generation
from judgerlvr.models.tensors import QUANTISED, check_tensors, commonest_type
from judgerlvr.models.weights import check_weights, refuse_adapter
from rewards.errors import InputError, reading

SOURCES = ("qwen3", "qwen3_moe")
# torch's names by those of safetensors.
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
# Beyond this logit a float32 sigmoid is 0 or 1 to its last bit.
SATURATED = 20.0
COPIED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
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
    "output_router_logits",
    "router_aux_loss_coef",
)


def config_from(source: PretrainedConfig, **changes: Any) -> HySparseConfig:
    """Configuration with the source's sizes and with HySparse's settings from ``changes``.

    Raises InputError for a source of another family, and for layers that HySparse does not have.
    """
    if source.model_type not in SOURCES:
        raise InputError(f"cannot convert a {source.model_type!r} model", f"start from one of {', '.join(SOURCES)}")
    if source.sliding_window is not None:
        raise InputError("the source has window layers of its own", "start from a model with full attention throughout")
    if "rope_parameters" in beyond_kernels({"rope_parameters": source.rope_parameters}):
        raise InputError("the source turns a part of each head", "start from a model that turns whole heads")
    names = COPIED + (COPIED_EXPERTS if source.model_type == "qwen3_moe" else ())
    fields = {name: getattr(source, name) for name in names}
    fields["head_dim"] = head_dim_of(source)
    return HySparseConfig(**{**fields, "qk_norm": True, "gate_bias": True, **changes})


def head_dim_of(source: PretrainedConfig) -> int:
    """Head dim of the source. A Qwen3-MoE configuration may name none, and transformers then splits the hidden size."""
    dims: int = getattr(source, "head_dim", None) or source.hidden_size // source.num_attention_heads
    return dims


def convert(source: PreTrainedModel, start: InitialValues | None = None, **changes: Any) -> HySparseForCausalLM:
    """HySparse model with copies of the source's weights, in the source's dtype. ``changes`` go to HySparseConfig.

    Raises InputError in the cases of ``config_from``, and ValueError for settings that no model can have.
    """
    weights = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    return adopt(weights, config_from(source.config, **changes), start or InitialValues())


def adopt(weights: Mapping[str, Tensor], config: HySparseConfig, start: InitialValues) -> HySparseForCausalLM:
    """HySparse model on ``weights`` themselves. Only gates and sinks are new tensors.

    Raises InputError for settings under which the weights do not fit.
    """
    with torch.device("meta"):
        model = HySparseForCausalLM(config)
    missing, unexpected = model.load_state_dict(weights, strict=False, assign=True)
    if unexpected:
        raise InputError(f"this configuration has no place for the weight {unexpected[0]}", "keep branches=both")
    new = [name for name in missing if ".g_" not in name and "sinks" not in name]
    if new:
        raise InputError(f"the source has no {new[0]}", "leave gate_full, sinks_full and qk_norm at their defaults")
    model.tie_weights()
    embedding = model.get_input_embeddings().weight
    model.model.rotary_emb = Qwen3MoeRotaryEmbedding(config=config).to(embedding.device)
    neutralise(model, start, embedding)
    return model


def neutralise(model: HySparseForCausalLM, start: InitialValues, like: Tensor) -> None:
    """Make new gates and sinks of the sparse layers with the values of ``start``.

    Gates have the dtype of ``like`` and sinks are float32, both on the device of ``like``.
    """
    for layer in model.modules():
        if not isinstance(layer, SparseAttention):
            continue
        set_gate(layer.g_sparse, start.gate_sparse, like)
        set_gate(layer.g_swa, start.gate_window, like)
        for name in ("sinks_sparse", "sinks_swa"):
            if getattr(layer, name) is not None:
                sinks = torch.full(getattr(layer, name).shape, start.sink, dtype=torch.float32, device=like.device)
                setattr(layer, name, nn.Parameter(sinks))


def set_gate(gate: nn.Linear | None, value: float, like: Tensor) -> None:
    """Make the gate ``value`` for every input."""
    if gate is None:
        return
    logit = math.log(value / (1 - value)) if 0 < value < 1 else math.copysign(math.inf, value - 0.5)
    gate.weight = nn.Parameter(like.new_zeros(gate.weight.shape))
    gate.bias = nn.Parameter(like.new_full(gate.bias.shape, max(-SATURATED, min(SATURATED, logit))))


def read_source(directory: Path) -> PretrainedConfig:
    """Configuration of the model in ``directory``. No weight is read, and no code of the directory runs.

    Raises InputError if the directory holds no configuration that transformers reads, no weights, an adapter, or what
    ``check_copied`` and ``check_generation`` refuse.
    """
    refuse_adapter(directory)
    if not (directory / "config.json").is_file():
        raise InputError("no model there", "give a directory with config.json and weights", file=directory)
    remedy = f"start from one of {', '.join(SOURCES)}, or download the model again"
    with reading("transformers cannot read the configuration", remedy, directory / "config.json"):
        config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
    if not has_weights(directory):
        raise InputError("no *.safetensors there", "download the model again, in safetensors", file=directory)
    check_copied(directory)
    # transformers takes its own settings in the place of a broken file, and the result would carry bad ones.
    vocabulary = getattr(config, "vocab_size", None)
    check_generation(directory, vocabulary if isinstance(vocabulary, int) else sys.maxsize)
    return config


def check_stored(directory: Path) -> None:
    """Raise InputError unless the weight files hold what config.json asks for. Only their headers are read.

    transformers would fill a missing tensor with random numbers, and leave out a tensor too many. Quantised weights
    have names and shapes of their own, so nobody can tell.
    """
    if read_config(directory).get(QUANTISED):
        raise InputError("the weights are quantised", "start from weights in bf16, fp16 or fp32", file=directory)
    check_weights(directory)
    check_tensors(directory, trust_remote_code=False)


def read_model(directory: Path, dtype: torch.dtype | str) -> PreTrainedModel:
    """The model in evaluation mode.

    Raises InputError for weights that do not load, that are missing, or that are NaN or infinite.
    """
    with reading("transformers cannot load the weights", "download the model again", file=directory):
        model, found = AutoModelForCausalLM.from_pretrained(
            directory, dtype=dtype, trust_remote_code=False, output_loading_info=True
        )
    # transformers has filled these with random numbers.
    if missing := sorted(found["missing_keys"]):
        raise InputError(f"transformers found no tensor {missing[0]}", "download the model again", file=directory)
    for name, weight in model.named_parameters():
        if not is_finite(weight):
            remedy = "give a checkpoint from before the weights went wrong"
            raise InputError(f"tensor {name} holds a NaN or an infinity", remedy, file=directory)
    return model.eval()


def placement(options: argparse.Namespace, layers: int) -> list[str]:
    """Kinds of the layers as the options place them. Raises InputError for a layer that the source does not have."""
    if layers < 1:
        raise ValueError(f"num_hidden_layers must be a whole number from 1, not {layers}")
    if options.full_layers is None:
        return layer_types(layers, options.sparse_ratio or DEFAULT_RATIO)
    numbers = [int(number) for number in options.full_layers.split(",")]
    if numbers[-1] >= layers:
        raise InputError(f"--full-layers names layer {numbers[-1]}", f"the source has layers 0 to {layers - 1}")
    return with_full(layers, numbers)


def target_config(options: argparse.Namespace) -> HySparseConfig:
    """Configuration of the conversion that the options ask for. No weight is read.

    Raises InputError for a source that does not convert, settings that no model can have or that could not be stored,
    shapes that no kernel takes, and weight files that hold other tensors than the configuration asks for.
    """
    source = read_source(options.source)
    changes = {
        "select_block": options.select_block,
        "select_tokens": options.select_tokens,
        "sliding_window": options.window,
    }
    # Checks of transformers raise errors of their own class.
    with reading("no model can have these settings", REMEDY, options.source / CONFIG):
        try:
            kinds = placement(options, getattr(source, "num_hidden_layers", 0))
            config = config_from(source, layer_types=kinds, **changes)
        except ValueError as error:
            raise InputError(str(error), f"change the options, or {REMEDY}", file=options.source) from error
    check_kernels(config)
    check_stored(options.source)
    name_dtype(config, options.source)
    check_storable(config, options.source)
    return config


def check_kernels(config: HySparseConfig) -> None:
    """Raise InputError for shapes that no kernel takes."""
    group = config.num_attention_heads // config.num_key_value_heads
    wrong = refusals(group, config.head_dim, config.select_block)
    if wrong:
        raise InputError(f"no kernel takes {', '.join(wrong)}", accepted())


def starting_values(options: argparse.Namespace) -> InitialValues:
    """Values of gates and sinks that the options ask for."""
    return InitialValues(options.gate_sparse, options.gate_window)


def pick_device(wanted: str | None) -> str:
    """``wanted`` or, without a wish, the GPU where there is one and else the CPU.

    Raises:
        InputError: this machine lacks the wanted GPU.
    """
    found = torch.cuda.device_count()
    device = wanted or ("cuda" if found else "cpu")
    if device != "cpu" and int(device.partition(":")[2] or 0) >= found:
        raise InputError(f"--device {device}: {found} GPUs are visible here", "give another device")
    return device


def stored_dtype(config: HySparseConfig) -> torch.dtype:
    """The dtype of the result. The configuration is one that ``name_dtype`` has completed."""
    dtype: torch.dtype = getattr(torch, str(config.dtype).removeprefix("torch."))
    return dtype


def name_dtype(config: HySparseConfig, directory: Path) -> None:
    """Let ``config`` name the dtype of the weights in ``directory`` if the configuration there names none.

    Raises InputError for a dtype that is none of torch's floating point types.
    """
    name = str(config.dtype or DTYPES[commonest_type(directory)]).removeprefix("torch.")
    if name not in DTYPES.values():
        remedy = f"write one of {', '.join(DTYPES.values())}"
        raise InputError(f"dtype is {name}", remedy, file=directory / "config.json", field="dtype")
    config.dtype = getattr(torch, name)


def save(
    model: HySparseForCausalLM, source: Path, out: Path, add: Callable[[Path], None] = lambda folder: None
) -> None:
    """Write model, code and the source's further files to the new folder ``out``, whole or not at all.

    ``add`` gets the folder before the folder has its name.
    """
    # The prefix is short, because a name may be as long as the file system takes.
    with folders_above(out), tempfile.TemporaryDirectory(dir=out.parent, prefix=".new-") as scratch:
        made = Path(scratch) / out.name
        model.save_pretrained(made)
        copy_files(source, made)
        add(made)
        check_new(out)
        made.rename(out)
