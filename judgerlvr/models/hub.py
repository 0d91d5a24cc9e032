"""Models of the hub, by their names: downloaded once into the hub's cache, and read from there afterwards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from judgerlvr.config.load import resolve_path
from judgerlvr.models.configuration import LOCAL, how_to_get
from rewards.errors import MACHINE, InputError

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Folders that shipped configurations and commands name. No such folder is no model of the hub.
OWN = (LOCAL, "ckpt", "runs", "configs")
# What transformers and vLLM read of a model.
FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.py")


def model_directory(path: str | Path) -> Path:
    """The folder of a model: as given, the same inside the checkout, or the hub's cache for a name of the hub.

    A name of the hub is downloaded where a network is. Files that the cache holds are not fetched again.

    Raises:
        InputError: no model of that name can be had.
    """
    directory = resolve_path(path)
    name = hub_name(path)
    return directory if directory.exists() or name is None else _downloaded(name)


def hub_name(path: str | Path) -> str | None:
    """The name of the hub that a path which is not there can be: two words, the first of which is no folder here."""
    # A configuration's paths are absolute by now.
    name = str(path).removeprefix(f"{Path.cwd()}/")
    owner = name.partition("/")[0]
    return name if NAME.fullmatch(name) and owner not in OWN and not Path(owner).exists() else None


def _downloaded(name: str) -> Path:
    print(f"{name}: no folder here, so the hub's model of that name is used", flush=True)
    return snapshot(name, how_to_get(Path(name)), allow_patterns=list(FILES))


def snapshot(name: str, remedy: str, **arguments: Any) -> Path:
    """The folder of ``name`` in the hub's cache, by ``huggingface_hub.snapshot_download`` with ``arguments``.

    Raises:
        InputError: gated, absent, private or out of reach. ``remedy`` says what else can be done.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, **arguments))
    # A GatedRepoError is a RepositoryNotFoundError too.
    except GatedRepoError as error:
        raise InputError(f"{name} is gated", "accept its terms on the hub and run: hf auth login") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"{name} is not on the hub, or is private", remedy) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno in MACHINE:
            raise
        raise InputError(f"{name} cannot be reached", remedy) from error
