"""The tokenizer of a source, refused unless its files are whole: transformers replaces missing ones without a word."""

from __future__ import annotations

import os
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from judgerlvr.models.configuration import POINTER, refuse_pointer
from judgerlvr.models.tokenizer_files import VOCABULARIES, has_tokenizer
from rewards.errors import InputError, reading

# Without this file, transformers takes the tokenizer class of the model type, which may split texts elsewhere.
SETTINGS = "tokenizer_config.json"
FILES = (SETTINGS, *(name for names in VOCABULARIES for name in names), "special_tokens_map.json", "added_tokens.json")
REMEDY = "add the tokenizer's files"


def read_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """The source's tokenizer. Raises InputError if a file of the tokenizer is missing, empty or broken."""
    if not (directory / SETTINGS).exists():
        raise InputError(f"no {SETTINGS} there, so nobody can tell how texts are split", REMEDY, file=directory)
    for path in (directory / name for name in FILES):
        _check_file(path)
    if not has_tokenizer(directory):
        wanted = ", ".join(" and ".join(names) for names in VOCABULARIES)
        raise InputError(f"no vocabulary of a tokenizer there, which is one of {wanted}", REMEDY, file=directory)
    return _load(directory)


def check_tokenizer(directory: Path) -> None:
    """Raise InputError for a tokenizer that is broken. A directory without a vocabulary passes."""
    if has_tokenizer(directory):
        for path in (directory / name for name in FILES):
            _check_file(path)
        _load(directory)


def _load(directory: Path) -> PreTrainedTokenizerBase:
    with reading("transformers cannot load the tokenizer", REMEDY, file=directory):
        return AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)


def _check_file(path: Path) -> None:
    """Raise InputError for a link to nothing, a folder, an empty file, or a file that Git LFS did not download."""
    if not os.path.lexists(path):
        return
    if not path.is_file():
        raise InputError("no file", REMEDY, file=path)
    with path.open("rb") as file:
        start = file.read(len(POINTER))
    refuse_pointer(start, path)
    if not start:
        raise InputError("the file is empty", "download the tokenizer's files again", file=path)
