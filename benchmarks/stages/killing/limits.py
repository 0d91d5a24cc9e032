"""A small disk and a control group of memory, as far as this machine offers them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# A run folder asks for 1 GiB of free space.
DISK_MIB = 2048


def fill(disk: Path) -> Path:
    """Take all space that is left. Returns the file that takes the space."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            left = os.statvfs(disk)
            os.posix_fallocate(file.fileno(), file.tell(), max(4096, left.f_bavail * left.f_frsize - 2**20))
            file.seek(0, os.SEEK_END)
    # The rest is less than an allocation. Unbuffered, since closing would try to write again.
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    return ballast


# Joins the group of its argument, stays its smallest process, and asks for more until the kernel has killed.
HOG = """import os, pathlib, sys, time
group = pathlib.Path(sys.argv[1])
(group / "cgroup.procs").write_text(str(os.getpid()))
killed = lambda: (group / "memory.oom_control").read_text().split()[-1]
before, held = killed(), []
while killed() == before and len(held) < 4096:
    held.append(bytearray(os.urandom(1)) * 2**20)
"""


def starve(group: Path) -> None:
    """Set the limit just above what the group's processes hold, and ask for more until the kernel kills one."""
    _tighten(group)
    subprocess.run([sys.executable, "-S", "-E", "-c", HOG, str(group)], check=False, timeout=60)


def _tighten(group: Path) -> None:
    stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    files = int(stat["total_inactive_file"]) + int(stat["total_active_file"])
    limit = int((group / "memory.usage_in_bytes").read_text()) - files
    for _ in range(100):
        limit += 2**22
        with suppress(OSError):
            (group / "memory.limit_in_bytes").write_text(str(limit))
            return


def lift(group: Path) -> None:
    """Take the limit away."""
    (group / "memory.limit_in_bytes").write_text("-1")


@contextmanager
def memory_group(name: str) -> Iterator[Path | None]:
    """A control group whose limit can be set, None where this machine offers none."""
    root = Path("/sys/fs/cgroup/memory")
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    inside = next((line.split(":")[2] for line in lines if ":memory:" in line), "/")
    group = root / inside.lstrip("/") / name
    try:
        group.mkdir(exist_ok=True)
        lift(group)
    except OSError:
        yield None
        return
    try:
        yield group
    finally:
        with suppress(OSError):
            group.rmdir()


@contextmanager
def small_disk(image: Path, folder: Path) -> Iterator[Path | None]:
    """A small file system in the file ``image`` at ``folder``, None where this machine mounts none.

    The image stays, so that a later call goes on with its files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    make = ["truncate", "-s", f"{DISK_MIB}M", str(image)], ["mkfs.ext4", "-q", "-F", "-m", "0", str(image)]
    made = image.exists() or all(_succeeds(*command) for command in make)
    if not made or not _succeeds("mount", "-o", "loop", str(image), str(folder)):
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
