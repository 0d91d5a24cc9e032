"""Damage to a model directory, drawn by a seed: weights, configuration, tokenizer, template and generation settings.

Each kind returns a word on what it did. Kinds of ``HARMLESS`` leave a usable model, all others must be refused.
"""

import json
import os
import random
import shutil
import struct
from pathlib import Path

from judgerlvr.config.load import ROOT

BASE = ROOT / "judgerlvr" / "tinyworld" / "base" / "qwen3"
WEIGHTS, CONFIG, TOKENS, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"
GENERATION, TEMPLATE, INDEX = "generation_config.json", "chat_template.jinja", "model.safetensors.index.json"
# Sizes that the weights' shapes show.
SIZES = (
    *("hidden_size", "intermediate_size", "head_dim", "vocab_size"),
    *("num_attention_heads", "num_hidden_layers", "num_key_value_heads"),
)
NOT_SIZES = (None, "many", -1, 0, 1.5, [], {}, [3], 10**9, "192", float("nan"))


def copy_base(folder: Path) -> Path:
    """A copy of the dense base. The weights are a link until something damages them."""
    shutil.copytree(BASE, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / WEIGHTS).symlink_to(BASE / WEIGHTS)
    return folder


def own_weights(folder: Path) -> Path:
    """The weight file as a file of its own."""
    (folder / WEIGHTS).unlink()
    return Path(shutil.copy(BASE / WEIGHTS, folder / WEIGHTS))


def edit(path: Path, **changes) -> None:
    """Set keys of a JSON file. The value ``...`` takes the key away."""
    keys = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in keys.items() if value is not ...}))


def rewrite_header(folder: Path, change) -> None:
    """Apply ``change`` to the header of the weights. The tensors' bytes stay."""
    data = own_weights(folder).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def tensor_names(header) -> list[str]:
    return [name for name in header if name != "__metadata__"]


def cut_weights(folder, draw):
    size = (BASE / WEIGHTS).stat().st_size
    os.truncate(own_weights(folder), at := draw.choice([0, 1, 7, 8, 9, 100, size // 2, size - 1, draw.randrange(size)]))
    return f"weights cut at {at}"


def grown_weights(folder, draw):
    with own_weights(folder).open("ab") as file:
        file.write(bytes(draw.choice([1, 8, 4096])))
    return "bytes behind the weights"


def header_length(folder, draw):
    with own_weights(folder).open("r+b") as file:
        file.write(struct.pack("<Q", length := draw.choice([0, 1, 2**63, draw.randrange(2**40), draw.randrange(100)])))
    return f"header of {length} bytes"


def tensor_renamed(folder, draw):
    def change(header):
        name = draw.choice(tensor_names(header))
        header[name + draw.choice(["x", ".weight", "_"])] = header.pop(name)

    rewrite_header(folder, change)
    return "a tensor of another name"


def tensor_missing(folder, draw):
    """The last tensor, so that the offsets stay whole."""
    data = (BASE / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    last = max(tensor_names(header), key=lambda name: header[name]["data_offsets"][1])
    begin = header.pop(last)["data_offsets"][0]
    text = json.dumps(header).encode()
    own_weights(folder).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length : 8 + length + begin])
    return f"no tensor {last}"


def tensor_shape(folder, draw):
    def change(header):
        name = draw.choice([name for name in tensor_names(header) if len(header[name]["shape"]) == 2])
        rows, columns = header[name]["shape"]
        header[name]["shape"] = draw.choice([[rows * 2, columns // 2], [rows // 2, columns * 2], [rows * columns]])

    rewrite_header(folder, change)
    return "a tensor of another shape"


def tensor_entry(folder, draw):
    def change(header):
        name = draw.choice(tensor_names(header))
        header[name] = draw.choice(
            [
                {},
                [],
                7,
                None,
                {**header[name], "dtype": "F7"},
                {**header[name], "shape": [-1]},
                {**header[name], "shape": "wide"},
                {**header[name], "data_offsets": [0]},
                {**header[name], "data_offsets": [5, 1]},
                {**header[name], "data_offsets": ["a", "b"]},
            ]
        )

    rewrite_header(folder, change)
    return "a wrong entry of the header"


def weights_path(folder, draw):
    (folder / WEIGHTS).unlink()
    return odd_path(folder / WEIGHTS, draw)


def odd_path(path: Path, draw) -> str:
    """A folder, a loop, a dangling link, an empty file, a pipe or a device in place of a file."""
    kind = draw.choice(["folder", "loop", "dangling", "empty", "pipe", "device"])
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "empty":
        path.touch()
    else:
        path.symlink_to({"loop": path.name, "dangling": "nowhere", "device": "/dev/null"}[kind])
    return f"{path.name} is {kind}"


def index(folder, draw):
    shard = {"model.embed_tokens.weight": WEIGHTS}
    text = draw.choice(
        [
            "",
            "{",
            "[]",
            "null",
            "{}",
            json.dumps({"weight_map": []}),
            json.dumps({"weight_map": None}),
            json.dumps({"weight_map": {}}),
            json.dumps({"weight_map": {"a": 7}}),
            json.dumps({"weight_map": {"a": ["b"]}}),
            json.dumps({"weight_map": {**shard, "model.norm.weight": "model-00002-of-00002.safetensors"}}),
            json.dumps({"weight_map": {**shard, "model.norm.weight": "."}}),
        ]
    )
    (folder / INDEX).write_text(text)
    return f"index {text[:60]}"


def size_changed(folder, draw):
    name = draw.choice(SIZES)
    value = json.loads((folder / CONFIG).read_text())[name]
    edit(folder / CONFIG, **{name: (new := draw.choice([value * 2, value + 1, max(1, value - 1)]))})
    return f"{name} = {new}"


def size_wrong(folder, draw):
    name = draw.choice(SIZES)
    edit(folder / CONFIG, **{name: (new := draw.choice(NOT_SIZES))})
    return f"{name} = {new}"


def size_left_out(folder, draw):
    # transformers' own value of one of these is the base's.
    edit(folder / CONFIG, **{(name := draw.choice([name for name in SIZES])): ...})
    return f"no {name}"


def field_wrong(folder, draw):
    changes = {
        "model_type": [..., None, 7, "", "qwen99", [], "gpt2"],
        "rms_norm_eps": [float("nan"), "small", None, -1],
        "hidden_act": ["nope", 7, None],
        "rope_parameters": ["x", 7, {"rope_type": "nope"}, {"rope_type": "default", "rope_theta": "x"}, []],
        "max_position_embeddings": ["x", -1, 0, 1.5, [], True, 1],
        "dtype": ["float7", 7, []],
        "layer_types": [["full_attention"], ["nope"] * 6, "x"],
        "eos_token_id": [10**6, -5, "x", [10**6]],
        "pad_token_id": [10**6, -5, "x"],
    }
    name = draw.choice(list(changes))
    edit(folder / CONFIG, **{name: (new := draw.choice(changes[name]))})
    return f"{name} = {new}"


def broken_json(path: Path, draw) -> str:
    """A JSON file that is none, or one of another kind."""
    whole = path.read_bytes()
    kinds = {
        "nothing": b"",
        "blank": b" \n",
        "cut": whole[: draw.randrange(1, len(whole) - 2)],
        "a list": b"[]",
        "a word": b'"x"',
        "a number": b"7",
        "null": b"null",
        "UTF-16": whole.decode().encode("utf-16"),
        "latin-1": b'{"name": "caf\xe9"}',
        "NUL bytes": b"\0" * 64,
        "a page": b"<!DOCTYPE html><html>",
        "deep": b'{"a":' * 20_000,
    }
    kind = draw.choice(list(kinds))
    path.write_bytes(kinds[kind])
    return f"{path.name} is {kind}"


def config_broken(folder, draw):
    return broken_json(folder / CONFIG, draw)


def tokenizer_broken(folder, draw):
    return broken_json(folder / draw.choice([TOKENS, TOKENIZER]), draw)


def generation_broken(folder, draw):
    return broken_json(folder / GENERATION, draw)


def lfs_pointer(folder, draw):
    path = folder / draw.choice([CONFIG, TOKENS, TOKENIZER, TEMPLATE, WEIGHTS, INDEX])
    path.unlink(missing_ok=True)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n")
    return f"{path.name} is a pointer"


def file_odd(folder, draw):
    path = folder / draw.choice([CONFIG, TOKENS, TOKENIZER, GENERATION, TEMPLATE])
    path.unlink()
    return odd_path(path, draw)


def file_missing(folder, draw):
    (folder / (name := draw.choice([CONFIG, TOKENS, TOKENIZER, TEMPLATE, WEIGHTS]))).unlink()
    return f"no {name}"


def generation_wrong(folder, draw):
    changes = {
        "eos_token_id": ["x", 10**6, -5, [10**6], {}],
        "pad_token_id": ["x", 10**6, -5],
        "temperature": [-1, "x", float("nan")],
        "top_p": [2, "x", -1],
        "top_k": [-5, "x", 1.5],
        "max_new_tokens": [-5, "x"],
        "repetition_penalty": [-1, "x", 0],
    }
    name = draw.choice(list(changes))
    edit(folder / GENERATION, **{name: (new := draw.choice(changes[name]))})
    return f"generation {name} = {new}"


def other_vocabulary(folder, draw):
    """A tokenizer with more tokens than the model."""
    tokens = json.loads((folder / TOKENS).read_text())
    more = draw.choice([1, 100, 5000])
    tokens["model"]["vocab"] |= {f"more{number}": 10_000 + number for number in range(more)}
    (folder / TOKENS).write_text(json.dumps(tokens))
    return f"{more} further tokens"


def tokenizer_field(folder, draw):
    changes = {
        "eos_token": [..., None, "", 7, [], {}],
        "tokenizer_class": [7, []],
        "added_tokens_decoder": ["x", [1], {"a": "b"}],
    }
    name = draw.choice(list(changes))
    edit(folder / TOKENIZER, **{name: (new := draw.choice(changes[name]))})
    return f"{name} = {new}"


def template_wrong(folder, draw):
    text = draw.choice(
        [
            "",
            "hello",
            "{% for m in messages %}{{ m.content }",
            "{{ raise_exception('no user role') }}",
            "{{ messages[5].content }}",
            "{{ messages | no_filter }}",
            "{% include 'x' %}",
            "{{ 1 / 0 }}",
            "{{ messages[0].role }}",
            "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
            "{{ ''.__class__.__mro__ }}",
            "{% if %}",
        ]
    )
    (folder / TEMPLATE).write_text(text)
    return f"template {text[:40]!r}"


def harmless(folder, draw):
    """A change that leaves the model as usable as before."""
    name, change = draw.choice(
        [
            ("generation_config.json missing", lambda: (folder / GENERATION).unlink()),
            ("generation_config.json of no key", lambda: (folder / GENERATION).write_text("{}")),
            ("further key", lambda: edit(folder / CONFIG, remark="mine")),
            ("further file", lambda: (folder / "notes.txt").write_text("x")),
            ("no architectures", lambda: edit(folder / CONFIG, architectures=...)),
            ("no dtype", lambda: edit(folder / CONFIG, dtype=...)),
            ("longer context", lambda: edit(folder / CONFIG, max_position_embeddings=4096)),
            ("plain template", lambda: (folder / TEMPLATE).write_text("{{ messages[0].content }}")),
            ("several ends", lambda: edit(folder / GENERATION, eos_token_id=[1, 0])),
        ]
    )
    change()
    return name


KINDS = (
    *(cut_weights, grown_weights, header_length, tensor_renamed, tensor_missing, tensor_shape, tensor_entry),
    *(weights_path, index, size_changed, size_wrong, size_left_out, field_wrong, config_broken, tokenizer_broken),
    *(
        generation_broken,
        lfs_pointer,
        file_odd,
        file_missing,
        generation_wrong,
        other_vocabulary,
        tokenizer_field,
        template_wrong,
    ),
)
HARMLESS = (harmless,)


def damaged(folder: Path, number: int, seed: int, kinds=KINDS) -> tuple[str, str]:
    """Make the ``number``-th damaged model in ``folder``. Returns the kind and a word on it."""
    kind = kinds[number % len(kinds)]
    return kind.__name__, kind(copy_base(folder), random.Random(f"{seed} {number}"))
