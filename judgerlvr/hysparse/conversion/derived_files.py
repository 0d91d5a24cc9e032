"""Files of a directory that is derived from a model: where it may lie, and what it takes from the model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rewards.errors import InputError

WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".gguf", ".onnx", ".ot"}
# The folder where transformers keeps a tokenizer's further chat templates.
FOLDERS = ("additional_chat_templates",)


def check_new(out: Path) -> None:
    """Raise InputError if anything lies at ``out``, a dangling link included, or if no folder can be made there."""
    if os.path.lexists(out):
        raise InputError("something is there already", "give a name that is free; nothing is overwritten", file=out)
    above = next((parent for parent in out.absolute().parents if os.path.lexists(parent)), Path("/"))
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"no folder can be made in {above}", "give a place that you may write to", file=out)


def has_weights(directory: Path) -> bool:
    """Whether the directory holds safetensors, the only weight files whose headers tell what is in them."""
    return any(directory.glob("*.safetensors"))


def copy_files(base: Path, derived: Path) -> None:
    """Copy tokenizer, chat template, generation settings and further files of ``base``.

    Weights, card and configuration stay behind, because the derived model has its own.
    """
    for path in base.iterdir():
        if path.is_file() and not _left_behind(path):
            shutil.copyfile(path, derived / path.name)
        elif path.is_dir() and path.name in FOLDERS:
            shutil.copytree(path, derived / path.name, dirs_exist_ok=True)


def _left_behind(path: Path) -> bool:
    own = path.name.lower() in ("readme.md", "config.json") or path.name.startswith(".")
    return own or path.suffix in WEIGHTS or path.name.endswith(".index.json")
