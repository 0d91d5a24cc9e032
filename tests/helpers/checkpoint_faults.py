"""Checkpoints that do not hold what their config.json asks for, generated over every kind of tensor."""

import json
import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def kinds_of_tensors(folder: Path) -> list[str]:
    """One tensor of each kind: names that differ by the number of a layer or of an expert are one kind."""
    names = load_file(folder / WEIGHTS)
    return sorted({re.sub(r"\d+", "N", name): name for name in names}.values())


def change_weights(folder: Path, change) -> None:
    """Apply ``change`` to the dictionary of tensors."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS, {"format": "pt"})


def edit_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def missing(tensors, name):
    del tensors[name]


def longer(tensors, name):
    tensors[name] = torch.cat([tensors[name], tensors[name]])


def whole_numbers(tensors, name):
    tensors[name] = tensors[name].to(torch.int8)


def renamed(tensors, name):
    tensors[f"old.{name}"] = tensors.pop(name)


def added(tensors, name):
    tensors[f"{name}_more"] = tensors[name].clone()


# Faults of one tensor.
OF_TENSORS = (missing, longer, whole_numbers, renamed, added)


def config(**changes):
    return lambda folder: edit_config(folder, **changes)


def keep_layers(count):
    """Leave the layers from ``count`` on out of the files."""

    def change(tensors):
        for name in list(tensors):
            if (number := re.search(r"layers\.(\d+)", name)) and int(number[1]) >= count:
                del tensors[name]

    return lambda folder: change_weights(folder, change)


def no_head(folder):
    edit_config(folder, tie_word_embeddings=False)
    change_weights(folder, lambda tensors: tensors.pop("lm_head.weight", None))


def missing_shard(folder):
    index = {"metadata": {}, "weight_map": {"a": WEIGHTS, "b": "model-2.safetensors"}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))


# Faults of a whole folder whose model has 4 layers.
OF_FOLDERS = {
    "most layers cut off": keep_layers(1),
    "one layer cut off": keep_layers(3),
    "fewer layers by config.json": config(num_hidden_layers=3),
    "more layers by config.json": config(num_hidden_layers=12),
    "biases that are not stored": config(attention_bias=True),
    "another hidden size": config(hidden_size=48),
    "another vocabulary": config(vocab_size=500),
    "no head": no_head,
    "quantised by config.json": config(quantization_config={"quant_method": "fp8"}),
    "a Git LFS pointer": lambda folder: (folder / WEIGHTS).write_bytes(POINTER),
    "cut short": lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1]),
    "an empty file": lambda folder: (folder / WEIGHTS).write_bytes(b""),
    "a missing shard": missing_shard,
    "another format": lambda folder: (folder / WEIGHTS).rename(folder / "pytorch_model.bin"),
}
