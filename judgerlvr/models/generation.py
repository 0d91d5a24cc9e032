"""Token ids and sampling settings that a model directory brings along, checked before an engine reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from judgerlvr.config.domains import Range
from judgerlvr.models.configuration import CONFIG, read_config, read_keys
from rewards.errors import InputError

GENERATION = "generation_config.json"
IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
# Settings that vLLM takes as defaults of a served policy.
SAMPLING = {
    "temperature": Range(least=0),
    "top_p": Range(above=0, most=1),
    "min_p": Range(least=0, most=1),
    "top_k": Range(least=-1),
    "repetition_penalty": Range(above=0),
    "max_new_tokens": Range(least=1),
}
WHOLE = ("top_k", "max_new_tokens")


def check_generation(directory: Path, vocabulary: int) -> None:
    """Check token ids of both configurations, and the sampling settings of ``generation_config.json``.

    Raises:
        InputError: not JSON, an id outside the vocabulary, or a setting that vLLM would refuse.
    """
    _check_ids(read_config(directory), vocabulary, directory / CONFIG)
    path = directory / GENERATION
    # A directory in this place is a fault, and so is a link that leads nowhere.
    if not path.exists() and not path.is_symlink():
        return
    settings = read_keys(path)
    _check_ids(settings, vocabulary, path)
    for name, bounds in SAMPLING.items():
        value = settings.get(name)
        kinds = int if name in WHOLE else (int, float)
        if value is None or (isinstance(value, kinds) and not isinstance(value, bool) and bounds.allows(value)):
            continue
        raise InputError(f"{name} is {value!r}", f"give {bounds.says}, or leave it out", file=path, field=name)


def _check_ids(settings: Mapping[str, Any], vocabulary: int, path: Path) -> None:
    for name in IDS:
        for value in _ids(settings.get(name)):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < vocabulary:
                problem = f"{name} {value!r} is no token of the {vocabulary} of the vocabulary"
                raise InputError(problem, "give the tokenizer's id, or leave it out", file=path, field=name)


def _ids(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif value is not None:
        yield value
