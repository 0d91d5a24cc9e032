"""Where a command's output may lie: apart from the folders of models and problems that the command reads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from rewards.errors import InputError


def standing(out: Path, folder: Path) -> str | None:
    """How ``out`` stands to a folder: "is", "lies in", "holds", or None where both are apart. Links are followed."""
    place, read = (Path(os.path.realpath(path)) for path in (out, folder))
    if place == read:
        return "is"
    if read in place.parents:
        return "lies in"
    return "holds" if place in read.parents else None


def check_output_apart(out: Path, read: Iterable[Path]) -> None:
    """Raise InputError if ``out`` is, lies in or holds a folder that is read. Files and absent paths are left out."""
    for folder in read:
        if folder.is_dir() and (how := standing(out, folder)):
            raise InputError(f"{how} {folder}, which is read", "give an --out apart from models and data", file=out)
