"""Names and numbers that a plan may hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from judgerlvr.config.domains import FolderName, Range
from rewards.errors import InputError

# What the folder of an experiment holds beside its runs. The report is written last.
PLAN, REPORT = "plan.yaml", "report.html"
# Differences between arms over the seeds, as a page and as data.
OVER_SEEDS = ("over-seeds.md", "over-seeds.json")
# Finished policies of all arms.
POLICIES = "ckpt"
TAKEN = (PLAN, REPORT, *OVER_SEEDS, POLICIES)
# The report's own name of the policy that all arms begin with.
BASE = "base"
# A matched arm with a budget of tokens or hours takes a few times the steps of the other arm.
MOST_STEPS = Range(least=1, most=1000)


def check_name(name: str, file: Path, field: str) -> None:
    """Refuse a name of an arm or a stage that is no name of a folder of its own.

    Raises:
        InputError: an empty name, a name of another place, or a name that the experiment itself uses.
    """
    folder = FolderName()
    if not name or not folder.allows(name):
        raise InputError(
            f"name {name[:40]!r} is no folder name", f"give {folder.says.split(',')[0]}", file, None, field
        )
    if name.casefold() in TAKEN:
        raise InputError(f"name {name!r} is the experiment's own", "give another name", file=file, field=field)


def check_all_differ(names: Sequence[str], what: str, file: Path) -> None:
    """Refuse names that a file system without capitals takes for one name.

    Raises:
        InputError: naming the second of two such names.
    """
    plain = [name.casefold() for name in names]
    twice = next((name for place, name in enumerate(names) if name.casefold() in plain[:place]), None)
    if twice is not None:
        raise InputError(
            f"two {what}s are named {twice}", f"give each {what} a name of its own", file=file, field="arms"
        )


def check_words(words: Sequence[object], file: Path, field: str) -> None:
    """Refuse an entry that is no text, such as ``seed: 5`` for ``seed=5`` in a list of overrides.

    Raises:
        InputError: naming the entry.
    """
    # A list may hold anything, whatever its entries are declared to be.
    wrong = next((word for word in words if not isinstance(word, str)), None)
    if wrong is not None:
        raise InputError(f"{str(wrong)[:40]} is no text", "write each entry as text, key=value", file, None, field)


def check_number(value: object, bounds: Range, file: Path, field: str) -> None:
    """Refuse a number out of its bounds. NaN lies in no bounds.

    Raises:
        InputError: naming the number and the bounds.
    """
    # A list may hold lists, whatever its entries are declared to be.
    if not isinstance(value, int | float) or not bounds.allows(value):
        raise InputError(f"{field.rpartition('.')[2]} is {value}", f"give {bounds.says}", file=file, field=field)
