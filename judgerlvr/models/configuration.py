"""A model's ``config.json``, and the context: how many tokens of prompt and response the model takes together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rewards.errors import InputError, reading

# transformers writes the length here, or into the part of a model that reads text.
LENGTH, INNER = "max_position_embeddings", "text_config"
ENGINE = "max_model_len"
CONFIG = "config.json"
POINTER = b"version https://git-lfs"


def read_config(directory: Path) -> dict[str, Any]:
    """The keys of ``config.json``.

    Raises:
        InputError: no such file, or a damaged one.
    """
    path = directory / CONFIG
    with reading("the path cannot be followed", "give a transformers checkpoint", file=path):
        there = path.exists()
    if not there:
        raise InputError("no model here (config.json is missing)", how_to_get(directory), file=directory)
    return read_keys(path)


# The folder for models of the hub, in shipped configurations and in messages.
LOCAL = "models"


def how_to_get(directory: Path) -> str:
    """A path of two parts whose first part is no folder may be a name of the hub."""
    here = Path.cwd()
    name = directory.relative_to(here) if directory.is_relative_to(here) else directory
    if len(name.parts) != 2 or name.is_absolute() or (here / name).parent.exists():
        return "give a transformers checkpoint"
    # Shipped configurations name the folder that the download makes.
    name = Path("Qwen", name.name) if name.parts[0] == LOCAL and name.name.startswith("Qwen") else name
    return f"give a folder; `hf download {name} --local-dir {LOCAL}/{name.name}` makes one of a model of the hub"


def read_keys(path: Path) -> dict[str, Any]:
    """The keys of a JSON file of a model directory.

    Raises:
        InputError: no such file, or a damaged one.
    """
    # Reading a pipe would wait for a writer.
    if path.exists() and not path.is_file():
        raise InputError("no file", "download the checkpoint again", file=path)
    with reading("not JSON", "download the checkpoint again", file=path):
        refuse_pointer(path.read_bytes(), path)
        config = json.loads(path.read_text(encoding="utf-8"), parse_constant=_constant)
    if not isinstance(config, dict):
        raise InputError("holds no keys", "download the checkpoint again", file=path)
    return config


def refuse_pointer(content: bytes, path: Path) -> None:
    """Raise an InputError for what Git leaves in the place of a large file that was not downloaded."""
    if content.startswith(POINTER):
        raise InputError("a Git LFS pointer, not the file", "run `git lfs pull` there", file=path)


def _constant(word: str) -> float:
    """The number behind a word that is no JSON. Some models write ``Infinity``, and none means ``NaN``."""
    if word == "NaN":
        raise ValueError("NaN stands for a number")
    return float(word)


def model_context(directory: Path, engine: Mapping[str, Any] | None = None) -> int | None:
    """The context in tokens, None where the model's configuration does not say.

    ``engine`` holds arguments of ``vllm.LLM``. Its ``max_model_len`` stands for the model's own context.

    Raises:
        InputError: a length that is no whole number above 0.
    """
    if engine and engine.get(ENGINE) is not None:
        return _whole(engine[ENGINE], ENGINE, None)
    config = read_config(directory)
    inner = config.get(INNER)
    parts = [config, *([inner] if isinstance(inner, Mapping) else [])]
    found = [part[LENGTH] for part in parts if part.get(LENGTH) is not None]
    return _whole(found[0], LENGTH, directory / "config.json") if found else None


def _whole(value: Any, name: str, file: Path | None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} is {value!r}", "write a whole number", file=file)
    return value


def over_context(longest: int, limit: int, context: int | None) -> str | None:
    """Why a response of ``limit`` tokens cannot follow a prompt of ``longest`` tokens, None where it can."""
    if context is None or longest + limit <= context:
        return None
    return f"the longest prompt has {longest} tokens and the limit is {limit}, over the model's context of {context}"
