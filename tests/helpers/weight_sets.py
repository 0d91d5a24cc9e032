"""Ways in which two sets of weights lie in a folder. Each way takes a folder with a whole model.safetensors."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def write(tensors, path: Path) -> None:
    save_file(tensors, path, {"format": "pt"})


def write_index(folder: Path, names) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": names}))


def shard(folder: Path) -> None:
    """Two shards with an index, in place of the whole file."""
    tensors = load_file(folder / WHOLE)
    names = sorted(tensors)
    of = {name: SHARDS[number >= len(names) // 2] for number, name in enumerate(names)}
    for place in SHARDS:
        write({name: tensors[name] for name in names if of[name] == place}, folder / place)
    write_index(folder, of)
    (folder / WHOLE).unlink()


def split(folder: Path, name: str) -> None:
    """A tensor in a file of its own, which no index names."""
    tensors = load_file(folder / WHOLE)
    write({name: tensors.pop(name)}, folder / "extra.safetensors")
    write(tensors, folder / WHOLE)


def beside_shards(change):
    """Shards with an index, and a whole file of changed tensors beside them."""

    def two(folder: Path, name: str) -> None:
        tensors = load_file(folder / WHOLE)
        shard(folder)
        change(tensors, name)
        write(tensors, folder / WHOLE)

    return two


def zeros(tensors, _) -> None:
    tensors.update({name: torch.zeros_like(tensor) for name, tensor in tensors.items()})


def another_copy(name: str):
    """The whole weights a second time, under another name."""
    return lambda folder, _: shutil.copy(folder / WHOLE, folder / name) and None


def older_shards(folder: Path, _: str) -> None:
    whole = (folder / WHOLE).read_bytes()
    shard(folder)
    (folder / "model-00001-of-00001.safetensors").write_bytes(whole)


def shards_without_index(folder: Path, _: str) -> None:
    shard(folder)
    (folder / INDEX).unlink()


def renamed(folder: Path, _: str) -> None:
    (folder / WHOLE).rename(folder / "consolidated.safetensors")


def pickled_beside_unread(folder: Path, name: str) -> None:
    """transformers would read the pickled weights, in which a tensor is missing."""
    tensors = load_file(folder / WHOLE)
    renamed(folder, name)
    tensors.pop(name)
    torch.save(tensors, folder / "pytorch_model.bin")


def dangling_whole(folder: Path, _: str) -> None:
    shard(folder)
    (folder / WHOLE).symlink_to("nowhere")


def tensor_in_both_shards(folder: Path, name: str) -> None:
    value = load_file(folder / WHOLE)[name]
    shard(folder)
    for place in SHARDS:
        tensors = load_file(folder / place)
        write({**tensors, name: value if name in tensors else torch.zeros_like(value)}, folder / place)


def shards_in_a_folder(folder: Path, _: str) -> None:
    shard(folder)
    (folder / "parts").mkdir()
    for place in SHARDS:
        (folder / place).rename(folder / "parts" / place)
    index = json.loads((folder / INDEX).read_text())["weight_map"]
    write_index(folder, {name: f"parts/{place}" for name, place in index.items()})


def index_without_names(folder: Path, _: str) -> None:
    write_index(folder, {})


def named_by_config(folder: Path, _: str) -> None:
    """transformers reads the file of this key."""
    tensors = load_file(folder / WHOLE)
    zeros(tensors, _)
    (folder / "parts").mkdir()
    write(tensors, folder / "parts" / "other.safetensors")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_weights": "parts/other.safetensors"}))


WAYS = {
    "a tensor outside the whole file": split,
    "shards beside a whole file that lacks a tensor": beside_shards(lambda tensors, name: tensors.pop(name)),
    "shards beside a stale whole file": beside_shards(zeros),
    "shards beside an equal whole file": beside_shards(lambda *_: None),
    "a second copy": another_copy("model.fp32.safetensors"),
    "consolidated weights": another_copy("consolidated.safetensors"),
    "an adapter's weights": another_copy("adapter_model.safetensors"),
    "older shards": older_shards,
    "shards without an index": shards_without_index,
    "weights of another name": renamed,
    "pickled weights beside weights of another name": pickled_beside_unread,
    "a whole file that leads nowhere": dangling_whole,
    "a tensor in both shards": tensor_in_both_shards,
    "shards in a folder": shards_in_a_folder,
    "an index without names": index_without_names,
    "weights that config.json names": named_by_config,
}


def index_of_the_whole_file(folder: Path, _: str) -> None:
    write_index(folder, dict.fromkeys(load_file(folder / WHOLE), WHOLE))


def hidden_file(folder: Path, _: str) -> None:
    """macOS leaves attributes beside a file on some disks."""
    (folder / f"._{WHOLE}").write_bytes(b"attributes")


# A single set of weights, which transformers and vLLM read alike.
ONE_SET = {
    "a whole file": lambda folder, _: None,
    "shards": lambda folder, _: shard(folder),
    "an index of the whole file": index_of_the_whole_file,
    "pickled weights beside the whole file": lambda folder, _: (folder / "pytorch_model.bin").write_bytes(b"old"),
    "a hidden file": hidden_file,
}
