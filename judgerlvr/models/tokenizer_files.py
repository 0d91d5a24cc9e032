"""Files of a tokenizer in a model directory."""

from __future__ import annotations

from pathlib import Path

# Files of which each set holds a vocabulary by itself. Without any, transformers builds a tokenizer of no token.
VOCABULARIES = (
    ("tokenizer.json",),
    ("vocab.json", "merges.txt"),
    ("tokenizer.model",),
    ("vocab.txt",),
    ("spiece.model",),
    ("sentencepiece.bpe.model",),
    ("tiktoken.model",),
    ("tekken.json",),
)


def has_tokenizer(directory: Path) -> bool:
    """Whether a model directory holds a vocabulary. No file is read."""
    return any(all(_holds(directory / name) for name in names) for names in VOCABULARIES)


def _holds(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
