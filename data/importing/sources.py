"""One name in the configuration as the files behind the name: a file, a folder, a glob, or a data set of the hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rewards.errors import InputError

KINDS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow")
PACKED = (".gz", ".zst")
TAKEN = ", ".join(KINDS) + " (text also as .gz or .zst), a folder, a glob, or OWNER/NAME[@REVISION][:CONFIG][#SPLIT]"
# Endings of packings that are not read, and of files whose download has not ended.
_NOT_READ = (".bz2", ".xz", ".zip", ".7z", ".lz4", ".br", ".incomplete", ".part", ".crdownload")
_TEXT = (".jsonl", ".json", ".csv", ".tsv")
# Files that the datasets library and the hub put beside the rows.
_NOT_ROWS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json"}
_HUB = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*/[\w.-]+?)(?:@(?P<revision>[\w./-]+?))?(?::(?P<config>[\w.-]+))?(?:#(?P<split>\w+))?"
)
_SPLIT = re.compile(r"(?:^|[-_./])(train|test|validation|valid|dev)(?=[-_./]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class HubName:
    """A data set of the hub. Empty parts are not given."""

    name: str
    revision: str = ""
    config: str = ""
    split: str = ""


def container_kind(path: Path) -> tuple[str, str]:
    """(kind, packing) of a file by its endings: (".jsonl", ".gz"). An unknown or absent ending gives ""."""
    endings = [ending.lower() for ending in path.suffixes]
    packing = endings.pop() if endings and endings[-1] in PACKED else ""
    kind = endings[-1] if endings and endings[-1] in KINDS else ""
    return (kind, packing) if not packing or kind in _TEXT else ("", packing)


def hub_name(source: str | Path) -> HubName | None:
    """The parts of a hub name, or None where ``source`` looks like a path."""
    match = _HUB.fullmatch(str(source))
    if match is None or container_kind(Path(match["name"]))[0] or Path(match["name"]).suffix in PACKED:
        return None
    return HubName(**{part: text or "" for part, text in match.groupdict().items()})


def is_saved_dataset(folder: Path) -> bool:
    """Whether the ``datasets`` library wrote this folder with ``save_to_disk``."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def split_of(source: Path) -> tuple[Path, str]:
    """``FOLDER#SPLIT`` as (folder, split). The split is empty where the path exists as given."""
    name, mark, split = str(source).rpartition("#")
    return (Path(name), split) if mark and not source.exists() and Path(name).is_dir() else (source, "")


def files_of(source: Path) -> list[Path]:
    """The files behind a path, a folder or a glob, in natural order of their names.

    Raises:
        InputError: nothing is there, files of two kinds or splits lie together, or a kind is unknown.
    """
    if source.is_file():
        _check_kind(source)
        return [source]
    if source.is_dir():
        files = _in_folder(source)
    elif any(mark in str(source) for mark in "*?["):
        files = [path for path in _glob(source) if path.is_file() and container_kind(path)[0]]
    else:
        raise InputError("no such file", "check the path", file=source)
    _refuse_unread(source)
    if not files:
        raise InputError("no file of rows here", f"give {TAKEN}", file=source)
    _check_alike(source, files)
    return sorted(files, key=_natural)


def _check_kind(path: Path) -> None:
    if not container_kind(path)[0]:
        ending = "".join(path.suffixes[-2:]) or path.name
        raise InputError(f"unknown file type {ending!r}", f"use {TAKEN}", file=path)


def _refuse_unread(source: Path) -> None:
    """A folder is read whole or not at all: no shard is left out because of its packing or a broken link."""
    around = source.iterdir() if source.is_dir() else _glob(source)
    for path in sorted(around):
        if path.suffix.lower() in _NOT_READ and container_kind(path.with_suffix(""))[0]:
            raise InputError(f"is {path.suffix}, which is not read", "unpack, complete or remove it", file=path)
        if container_kind(path)[0] and path.is_symlink() and not path.exists():
            raise InputError("is a link to a file that is not there", "mend or remove the link", file=path)


def _in_folder(folder: Path) -> list[Path]:
    def rows(paths: list[Path]) -> list[Path]:
        return [path for path in paths if path.name not in _NOT_ROWS and path.is_file() and container_kind(path)[0]]

    def hidden(path: Path) -> bool:
        return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)

    # Files directly in the folder go first. Hidden folders hold caches of the hub.
    return rows(list(folder.iterdir())) or rows([path for path in folder.rglob("*") if not hidden(path)])


def _glob(pattern: Path) -> list[Path]:
    root = Path(pattern.anchor) if pattern.is_absolute() else Path()
    return list(root.glob(str(pattern.relative_to(pattern.anchor) if pattern.is_absolute() else pattern)))


def _check_alike(source: Path, files: list[Path]) -> None:
    kinds = sorted({container_kind(path)[0] for path in files})
    if len(kinds) > 1:
        problem = f"files of several kinds ({', '.join(kinds)})"
        raise InputError(problem, f"give a glob such as {source / ('*' + kinds[0])}", file=source)
    splits = sorted({match[1].lower() for path in files if (match := _SPLIT.search(path.name))})
    # A folder of a data set often holds train and test, and training on both would leak the test.
    if len(splits) > 1:
        problem = f"several splits lie together ({', '.join(splits)})"
        raise InputError(problem, f"give a glob such as {source.parent / source.name / (splits[0] + '*')}", file=source)


def _natural(path: Path) -> list[tuple[int, str]]:
    # Pairs compare in every place, where a number and a text would raise.
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]
