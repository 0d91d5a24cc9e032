"""The kernel's counters of processes that were killed for want of memory. A killed process itself tells nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GIB = 2**30
# A larger limit means no limit.
UNLIMITED = 2**60


@dataclass(frozen=True)
class Kills:
    """Processes killed so far in the control group and on the whole machine, and the group's memory in bytes."""

    group: int = 0
    machine: int = 0
    limit: int | None = None
    peak: int | None = None

    def since(self, before: Kills) -> str | None:
        """What was killed after ``before`` was read, None for nothing."""
        if count := self.group - before.group:
            limit = f" of {self.limit / GIB:.1f} GiB" if self.limit else ""
            peak = f", {self.peak / GIB:.1f} GiB were used at most" if self.peak else ""
            return f"out of memory: the kernel killed {count} process(es) at the control group's limit{limit}{peak}"
        if count := self.machine - before.machine:
            memory = f" of {self.limit / GIB:.1f} GiB" if self.limit else ""
            return f"out of memory: the kernel killed {count} process(es) of this machine{memory}"
        return None


def read_kills(root: Path = Path("/")) -> Kills:
    """The present counters, from control groups of either version. A system without counters gives zeros."""
    folder, newer = _group(root)
    events, limit, peak = (
        ("memory.events", "memory.max", "memory.peak")
        if newer
        else ("memory.oom_control", "memory.limit_in_bytes", "memory.max_usage_in_bytes")
    )
    machine = _table(root / "proc" / "vmstat").get("oom_kill", 0)
    found = _number(folder / limit)
    return Kills(
        group=_table(folder / events).get("oom_kill", 0),
        machine=machine,
        limit=found if found and found < UNLIMITED else _table(root / "proc" / "meminfo").get("MemTotal:", 0) * 1024,
        peak=_number(folder / peak),
    )


def _group(root: Path) -> tuple[Path, bool]:
    """(folder of the process's memory control group, whether control groups are of version 2)."""
    mount = root / "sys" / "fs" / "cgroup"
    lines = _text(root / "proc" / "self" / "cgroup").splitlines()
    paths = dict(line.split(":", 2)[1:] for line in lines if line.count(":") >= 2)
    older = mount / "memory"
    if "memory" in paths and older.is_dir():
        inside = older / paths["memory"].lstrip("/")
        return (inside if inside.is_dir() else older), False
    inside = mount / paths.get("", "/").lstrip("/")
    return (inside if inside.is_dir() else mount), True


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _table(path: Path) -> dict[str, int]:
    rows = (line.split() for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None
