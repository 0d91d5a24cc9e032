"""The hash by which two model directories are told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path


def model_hash(directory: Path) -> str:
    """SHA-256 over the weight files and config of a model directory, by name and content."""
    return _digest_of(sorted([*directory.glob("*.safetensors"), *directory.glob("config.json")]))


def tokenizer_hash(directory: Path) -> str:
    """SHA-256 over what turns a prompt into tokens and ends a response: tokenizer, chat template, end tokens."""
    patterns = (
        "tokenizer*",
        "chat_template*",
        "special_tokens_map.json",
        "generation_config.json",
        "vocab*",
        "merges*",
    )
    files = {path for pattern in patterns for path in directory.glob(pattern) if path.is_file()}
    return _digest_of(sorted(files))


def _digest_of(files: Iterable[Path]) -> str:
    stats = [(path, path.stat()) for path in files]
    return _digest(tuple((path, stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in stats))


# A benchmark asks for the hash of the same weights once a task.
@lru_cache(maxsize=64)
def _digest(files: tuple[tuple[Path, int, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, *_ in files:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while chunk := file.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()
