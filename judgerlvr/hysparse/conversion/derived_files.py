"""Files of a directory that is derived from a model: where it may lie, and what it takes from the model."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from judgerlvr.models.configuration import POINTER, refuse_pointer
from judgerlvr.models.places import standing
from rewards.errors import InputError, machine_fault

WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".gguf", ".onnx", ".ot"}
# The folder where transformers keeps a tokenizer's further chat templates.
FOLDERS = ("additional_chat_templates",)
# Bytes of a path that files and folders below a derived directory may take.
BELOW = 300


def check_new(out: Path) -> None:
    """Raise InputError if anything lies at ``out``, a dangling link included, or if no folder can be made there."""
    if os.path.lexists(out):
        raise InputError("something is there already", "give a name that is free; nothing is overwritten", file=out)
    above = next((parent for parent in out.absolute().parents if os.path.lexists(parent)), Path("/"))
    _check_writable(above, out)
    names = out.absolute().relative_to(above).parts
    if ".." in names:
        raise InputError("goes back from a folder that is not there", "leave .. out of the path", file=out)
    longest, whole = os.pathconf(above, "PC_NAME_MAX"), os.pathconf(above, "PC_PATH_MAX") - BELOW
    if any(len(os.fsencode(name)) > longest for name in names) or len(os.fsencode(out.absolute())) > whole:
        problem = f"a name of more than {longest} bytes, or a path of more than {whole}"
        raise InputError(problem, "give a shorter name", file=out)


def _check_writable(above: Path, out: Path) -> None:
    """Raise InputError if no folder can be made in ``above``. A folder is made and removed.

    Permissions alone tell nothing of a file system such as that of processes. Faults of the machine pass unchanged.
    """
    try:
        Path(tempfile.mkdtemp(dir=above, prefix=".new-")).rmdir()
    except OSError as error:
        if machine_fault(error):
            raise
        remedy = "give a place that you may write to"
        raise InputError(f"no folder can be made in {above}", remedy, file=out) from error


def check_outside(out: Path, models: Iterable[Path | None]) -> None:
    """Raise InputError if ``out`` lies in the folder of a model, or in a folder that is copied from there.

    Links are followed. A copy of such a folder would hold itself.
    """
    for model in models:
        inner = [folder for name in FOLDERS for folder in (model / name, *(model / name).rglob("*"))] if model else []
        for folder in (model, *inner):
            if folder is not None and folder.is_dir() and standing(out, folder) == "lies in":
                raise InputError(f"lies in {folder}, which is read", "give a place outside the models", file=out)


@contextmanager
def folders_above(out: Path) -> Iterator[None]:
    """Make the folders above ``out``. If the block raises, new folders go, unless somebody filled them."""
    with ExitStack() as undo:
        # The last of these is undone first, and that is the innermost folder.
        for parent in reversed([parent for parent in out.parents if not os.path.lexists(parent)]):
            undo.callback(_remove_empty, parent)
        out.parent.mkdir(parents=True, exist_ok=True)
        yield
        undo.pop_all()


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def has_weights(directory: Path) -> bool:
    """Whether the directory holds safetensors, the only weight files whose headers tell what is in them."""
    return any(directory.glob("*.safetensors"))


def check_copied(base: Path) -> None:
    """Raise InputError for what ``copy_files`` would leave out or copy in vain.

    These are links that lead nowhere, pipes and devices, and files that Git LFS did not download.
    """
    folders = [path for path in base.iterdir() if path.name in FOLDERS and path.is_dir()]
    for path in sorted([*base.iterdir(), *(inner for folder in folders for inner in folder.rglob("*"))]):
        if path.is_dir() or (path.parent == base and _left_behind(path)):
            continue
        if not path.is_file():
            raise InputError("no file behind this name", "download the model again, or remove the name", file=path)
        with path.open("rb") as file:
            refuse_pointer(file.read(len(POINTER)), path)


def copy_files(base: Path, derived: Path) -> None:
    """Copy tokenizer, chat template, generation settings and further files of ``base``.

    Weights, card and configuration stay behind, because the derived model has its own.
    """
    for path in base.iterdir():
        if path.is_file() and not _left_behind(path):
            shutil.copyfile(path, derived / path.name)
        elif path.is_dir() and path.name in FOLDERS:
            shutil.copytree(path, derived / path.name, dirs_exist_ok=True)


def _left_behind(path: Path) -> bool:
    own = path.name.lower() in ("readme.md", "config.json") or path.name.startswith(".")
    return own or path.suffix in WEIGHTS or path.name.endswith(".index.json")
