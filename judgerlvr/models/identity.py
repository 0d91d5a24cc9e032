"""The hash by which two model directories are told apart."""

from __future__ import annotations

import hashlib
from pathlib import Path


def model_hash(directory: Path) -> str:
    """SHA-256 over the weight files and config of a model directory, by name and content."""
    digest = hashlib.sha256()
    files = sorted([*directory.glob("*.safetensors"), *directory.glob("config.json")])
    for path in files:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while chunk := file.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()
