"""Names and shapes of a model's tensors, compared with what the model's ``config.json`` asks for.

transformers fills a missing tensor with random numbers, and says so in a log alone.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judgerlvr.models.configuration import CONFIG, read_config
from judgerlvr.models.weights import AGAIN, read_header, weight_files
from rewards.errors import InputError, reading
from rewards.wording import counted

Shapes = Mapping[str, tuple[int, ...]]
# transformers holds all experts of a layer as one tensor. Most checkpoints hold a tensor for each expert.
EXPERTS = re.compile(r"(.*\.experts)\.(gate_up_proj|down_proj)")
HEAD = "lm_head.weight"
QUANTISED = "quantization_config"
# transformers reads the weight file that this key names.
ELSEWHERE = "transformers_weights"
# Rows of an embedding that are compared at once.
ROWS = 4096
# Names of safetensors for floating point types.
FLOATS = ("F64", "F32", "F16", "BF16")
# A tied head, and tables of positions of older checkpoints. No engine reads these.
UNREAD = re.compile(rf"{re.escape(HEAD)}|.*rotary_emb\.inv_freq")
OTHER_MODEL = "give the config.json that belongs to these weights"


def check_tensors(directory: Path, trust_remote_code: bool) -> None:
    """Check that the weight files hold the tensors of the model's configuration, and no others.

    Headers alone are read, and both tensors of a tied head that is stored. Quantised weights have names and shapes of
    their own, and are not looked at.

    Raises:
        InputError: transformers cannot build the model, a tensor has another shape or no floating point type, a
            tensor is missing or in two files, no part of the model is there for a tensor, config.json names other
            weights, or a tied head differs from the embedding.
    """
    config = read_config(directory)
    if config.get(ELSEWHERE) is not None:
        remedy = "leave this key out, or give the model with its weights under their usual names"
        raise InputError("names weight files of its own", remedy, file=directory / CONFIG, field=ELSEWHERE)
    if config.get(QUANTISED):
        return
    model, entries = _buildable(directory, trust_remote_code), found_tensors(directory)
    found = {name: tuple(entry["shape"]) for name, entry in entries.items()}
    wanted: dict[str, tuple[int, ...]] = {}
    for name, shape in _wanted_of(model, directory).items():
        wanted |= {name: shape} if name in found else _by_expert(name, shape)
    for name in sorted(wanted.keys() & found.keys()):
        if wanted[name] != found[name]:
            problem = f"tensor {name} is {_shown(found[name])}, by config.json {_shown(wanted[name])}"
            raise InputError(problem, OTHER_MODEL, file=directory)
        if entries[name]["dtype"] not in FLOATS:
            problem = f"tensor {name} is of type {entries[name]['dtype']}, without {QUANTISED} in config.json"
            raise InputError(problem, f"give weights of one of {', '.join(FLOATS)}", file=directory)
    if missing := _missing(wanted, found, str(config.get("model_type"))):
        problem = f"{len(missing)} of {len(wanted)} tensors are not in the weight files, first {missing[0]}"
        raise InputError(problem, f"{AGAIN}, or {OTHER_MODEL}", file=directory)
    if surplus := _surplus(model, wanted, found):
        problem = f"the model has no part for {counted(len(surplus), 'tensor')} of the weight files, first {surplus[0]}"
        raise InputError(problem, "leave out such tensors, for example a value head", file=directory)
    if HEAD in found and HEAD not in wanted:
        check_tied(directory, _embedding_of(model))


def check_tied(directory: Path, embedding: str) -> None:
    """Raise an InputError for a stored head other than the embedding that the configuration ties the head to.

    transformers would load such a head untied, and vLLM would leave the head out.
    """
    from safetensors import safe_open

    homes = {name: path for path in weight_files(directory) for name in read_header(path)}
    if embedding not in homes:
        return
    with safe_open(homes[HEAD], framework="pt") as one, safe_open(homes[embedding], framework="pt") as other:
        same = _equal(one.get_slice(HEAD), other.get_slice(embedding))
    if not same:
        problem = f"{HEAD} differs from {embedding}, and config.json ties them"
        raise InputError(problem, "set tie_word_embeddings to false, or take the head out", file=directory)


def _equal(one: Any, other: Any) -> bool:
    """Whether two stored matrices hold the same numbers. A few rows at once are in memory."""
    import torch

    if one.get_shape() != other.get_shape():
        return False
    starts = range(0, one.get_shape()[0], ROWS)
    parts = ([stored[at : at + ROWS].to(torch.float32) for stored in (one, other)] for at in starts)
    # A NaN is to be told as such later.
    return all(torch.equal(*(part.nan_to_num() for part in pair)) for pair in parts)


def _embedding_of(model: Any) -> str:
    """Name of the embedding's weight in the model."""
    embedding = model.get_input_embeddings()
    return next(f"{name}.weight" for name, module in model.named_modules() if module is embedding)


def empty_model(directory: Path, trust_remote_code: bool = False, attention: str | None = None) -> Any:
    """The model of a directory without weights. ``attention`` is transformers' name of one."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    import judgerlvr.hysparse.model.registration  # noqa: F401  (registers the model type)

    # Tensors on the meta device have shapes and no storage.
    with torch.device("meta"):
        config = AutoConfig.from_pretrained(directory, trust_remote_code=trust_remote_code)
        return AutoModelForCausalLM.from_config(
            config, trust_remote_code=trust_remote_code, attn_implementation=attention
        )


def wanted_shapes(directory: Path, trust_remote_code: bool = False) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor that the model's configuration asks a checkpoint for.

    Raises:
        InputError: transformers cannot build such a model.
    """
    return _wanted_of(_buildable(directory, trust_remote_code), directory)


def _buildable(directory: Path, trust_remote_code: bool) -> Any:
    problem, remedy = "transformers cannot build a model of this configuration", "mend it, or download it again"
    with reading(problem, remedy, file=directory / "config.json"):
        return empty_model(directory, trust_remote_code)


def _wanted_of(model: Any, directory: Path) -> dict[str, tuple[int, ...]]:
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if read_config(directory).get("tie_word_embeddings", model.config.tie_word_embeddings):
        wanted.pop(HEAD, None)
    return wanted


def _by_expert(name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The tensors that a checkpoint may hold in place of a tensor of the model."""
    if not (match := EXPERTS.fullmatch(name)):
        return {name: shape}
    experts, rows, columns = shape
    parts = {"down_proj": (rows, columns)}
    if match.group(2) == "gate_up_proj":
        parts = dict.fromkeys(("gate_proj", "up_proj"), (rows // 2, columns))
    return {
        f"{match.group(1)}.{expert}.{part}.weight": size for expert in range(experts) for part, size in parts.items()
    }


def found_tensors(directory: Path) -> dict[str, Any]:
    """Header entry (shape, dtype) of each tensor in the weight files of a directory.

    Raises:
        InputError: as ``read_header`` and ``weight_files``, or two files hold one tensor.
    """
    entries: dict[str, Any] = {}
    for path in weight_files(directory):
        header = read_header(path)
        if both := sorted(entries.keys() & header.keys()):
            raise InputError(f"tensor {both[0]} is in another weight file too", AGAIN, file=path)
        entries |= header
    return entries


def commonest_type(directory: Path) -> str:
    """safetensors' name of the type that most numbers of the weight files have. Raises as ``found_tensors``."""
    numbers: Counter[str] = Counter()
    for entry in found_tensors(directory).values():
        numbers[entry["dtype"]] += math.prod(entry["shape"])
    return numbers.most_common(1)[0][0]


def _surplus(model: Any, wanted: Shapes, found: Shapes) -> list[str]:
    """Tensors that the model has no part for. With a wanted one missing, names may be those of another layout."""
    if wanted.keys() - found.keys():
        return []
    ignored = [re.compile(pattern) for pattern in getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()]
    unread = [name for name in found if UNREAD.fullmatch(name) or any(pattern.search(name) for pattern in ignored)]
    return sorted(found.keys() - wanted.keys() - set(unread))


def _missing(wanted: Shapes, found: Shapes, model_type: str) -> list[str]:
    """Tensors that no weight file holds.

    transformers renames the tensors of some types. Of these a checkpoint is not judged if most wanted tensors are
    missing and most tensors of the files have other names. A checkpoint with layers cut off has no other names.
    """
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    missing = sorted(wanted.keys() - found.keys())
    other = len(missing) > len(wanted) / 2 and len(found.keys() - wanted.keys()) > len(found) / 2
    return [] if other and get_checkpoint_conversion_mapping(model_type) else missing


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
