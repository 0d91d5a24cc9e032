"""Data sets that the ``datasets`` library holds: folders of ``save_to_disk`` and names of the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.importing.containers import BATCH, Located
from data.importing.sources import HubName
from rewards.errors import InputError

LOG_IN = "log in with `hf auth login`"


def iter_saved(folder: Path, split: str) -> Iterator[Located]:
    """Rows of a folder that ``save_to_disk`` wrote. Of several splits, ``split`` names one.

    Raises:
        InputError: the folder is broken, or the split is missing or not named.
    """
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"not a saved data set ({_line(error)})", "save the data set again", file=folder) from error
    yield from _located(_pick(loaded, split, folder), folder)


def iter_hub(hub: HubName, source: Path) -> Iterator[Located]:
    """Rows of a data set of the hub at the named revision.

    Raises:
        InputError: offline, unknown, gated or private, no token, or the configuration or split is not named.
    """
    import datasets
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    # The library writes two lines for each of six attempts. The error below is the one line.
    huggingface_hub.utils.logging.set_verbosity_error()
    try:
        loaded = datasets.load_dataset(hub.name, hub.config or None, revision=hub.revision or None)
    # GatedRepoError is a RepositoryNotFoundError and has to be caught first.
    except GatedRepoError as error:
        raise _gated(source) from error
    except (datasets.exceptions.DatasetNotFoundError, RepositoryNotFoundError) as error:
        # datasets raises the same error for gated and for absent sets, with another text.
        if "gated" in str(error):
            raise _gated(source) from error
        problem = "no such file, and no such data set on the hub"
        remedy = "check the path or the name and revision"
        if huggingface_hub.get_token() is None:
            problem += " that is open without a token"
            remedy += f", or {LOG_IN} where the data set is private"
        raise InputError(problem, remedy, file=source) from error
    except (OfflineModeIsEnabled, ConnectionError, HfHubHTTPError, TimeoutError) as error:
        problem = f"no such file, and the hub cannot be reached ({_line(error)})"
        raise InputError(problem, "check the path, or download the data set first", file=source) from error
    except (OSError, ValueError) as error:
        remedy = "name configuration and split as OWNER/NAME@REVISION:CONFIG#SPLIT"
        raise InputError(f"the hub's data set cannot be loaded ({_line(error)})", remedy, file=source) from error
    yield from _located(_pick(loaded, hub.split, source), source)


def _gated(source: Path) -> InputError:
    import huggingface_hub

    problem, remedy = "no such file, and the data set on the hub is gated", "accept its terms on the hub"
    if huggingface_hub.get_token() is None:
        return InputError(f"{problem} and no token is set", f"{remedy} and {LOG_IN}", file=source)
    return InputError(f"{problem} for the account of the token", remedy, file=source)


def _pick(loaded: Any, split: str, source: Path) -> Any:
    """The one split that is asked for, or the only split."""
    # A single split comes as a Dataset, which has no keys.
    if not hasattr(loaded, "keys"):
        return loaded
    names = list(loaded.keys())
    if split in names or (len(names) == 1 and not split):
        return loaded[split or names[0]]
    problem = f"no split {split!r}" if split else "several splits"
    raise InputError(f"{problem} among {', '.join(names)}", "append #SPLIT to the name", file=source)


def _located(loaded: Any, source: Path) -> Iterator[Located]:
    number = 0
    for table in loaded.with_format("arrow").iter(batch_size=BATCH):
        for row in table.to_pylist():
            number += 1
            yield Located(row, source, number)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
