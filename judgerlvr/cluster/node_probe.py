"""A node's account of itself. The code travels to the node by value, so that a node without this product answers too.

Only the standard library is imported.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import resource
import shutil
import socket
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

SHARED_MEMORY = "/dev/shm"
CONNECT_SECONDS = 3.0
AT_ONCE = 32


@dataclass(frozen=True)
class Questions:
    """What each node is asked.

    ``shared`` is a folder of the driver with a file ``driver`` that holds ``text``. Each node writes its text there.
    ``files`` maps files to their sizes in bytes. ``ports`` lists (host, port, name) that every node must reach.
    """

    packages: tuple[str, ...]
    shared: str
    text: str
    files: Mapping[str, int] = field(default_factory=dict)
    ports: Sequence[tuple[str, int, str]] = ()


@dataclass(frozen=True)
class NodeReport:
    """A node's answers. Sizes are bytes. Texts of faults are empty where all is well."""

    python: str
    versions: dict[str, str]
    plugins: tuple[str, ...]
    has_product: bool
    memory: int
    shared_memory: int
    open_files: int
    temporary_folder: str
    temporary_free: int
    disk_free: int
    shared_fault: str = ""
    unread: dict[str, str] = field(default_factory=dict)
    unreached: tuple[str, ...] = ()


def report(questions: Questions, node: str) -> NodeReport:
    """Answer ``questions`` for this machine. ``node`` is the name of the file to write into the shared folder."""
    shared = Path(questions.shared)
    return NodeReport(
        python=platform.python_version(),
        versions={name: _version(name) for name in questions.packages},
        plugins=tuple(sorted(entry.name for entry in importlib.metadata.entry_points(group="vllm.general_plugins"))),
        has_product=importlib.util.find_spec("judgerlvr") is not None,
        memory=_memory(),
        shared_memory=_size(SHARED_MEMORY),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        temporary_folder=tempfile.gettempdir(),
        temporary_free=_free(Path(tempfile.gettempdir())),
        disk_free=_free(shared),
        shared_fault=shared_fault(shared, questions.text, node),
        unread={path: fault for path, size in questions.files.items() if (fault := _unread(Path(path), size))},
        unreached=_unreached(questions.ports),
    )


def shared_fault(shared: Path, text: str, node: str) -> str:
    """Why a folder is not shared with the driver and writable. Empty for a folder that is."""
    try:
        if (shared / "driver").read_text(encoding="utf-8") != text:
            return "holds another file than the driver's"
    except OSError as error:
        return f"the driver's file is not there ({error.strerror})"
    try:
        (shared / node).write_text(text + node, encoding="utf-8")
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    return ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _memory() -> int:
    """Memory of the machine, or the limit of the control group if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [total]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path("/sys/fs/cgroup", name).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            # Another version of control groups, or the word max.
            continue
    return min(limits)


def _size(folder: str) -> int:
    try:
        return shutil.disk_usage(folder).total
    except OSError:
        return 0


def _free(folder: Path) -> int:
    """Bytes free on the disk of a folder, or of the nearest folder above that exists."""
    found = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(found).free


def _unread(path: Path, size: int) -> str:
    """Why a file cannot be read as the driver reads the file."""
    try:
        with path.open("rb") as file:
            file.read(1)
        found = path.stat().st_size
    except OSError as error:
        return error.strerror or type(error).__name__
    return "" if found == size else f"{found} bytes, the driver sees {size}"


def _unreached(ports: Sequence[tuple[str, int, str]]) -> tuple[str, ...]:
    """Ports at which nothing answers a call of this machine."""
    if not ports:
        return ()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return tuple(filter(None, pool.map(_refusal, ports)))


def _refusal(port: tuple[str, int, str]) -> str:
    host, number, name = port
    try:
        socket.create_connection((host, number), CONNECT_SECONDS).close()
    except OSError as error:
        return f"{name} at {host}:{number} ({error.strerror or error})"
    return ""
