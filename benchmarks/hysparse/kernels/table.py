"""A table of timings that survives its rows. Each row is measured under guard, printed and written at once."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

# Data sheets of the SXM cards: dense bfloat16, and HBM of the present card, or of an H100 if there is no card.
PEAK_FLOPS = 989e12
PEAK_BYTES = 4.8e12 if torch.cuda.is_available() and "H200" in torch.cuda.get_device_name() else 3.35e12
# A call longer than the first is timed three times instead of do_bench's dozens. A call longer than the second is timed
# once.
SLOW_MS, VERY_SLOW_MS = 60.0, 1000.0


@dataclass
class Row:
    """One timing. ``floor_ms`` is the larger of operations over peak rate and bytes over HBM bandwidth.

    ``union`` is the mean number of blocks that a tile of queries reads. ``jaccard`` is the overlap of neighbours among
    the last 2,048 queries.
    ``executed`` counts operations, padded and masked rows included, and ``moved`` bytes through the L2 cache. Both are
    calculated. ``tflops`` counts the useful operations alone.
    """

    context: int
    group: int
    what: str
    source: str = ""
    ms: float | None = None
    tflops: float | None = None
    floor_ms: float | None = None
    note: str = ""
    union: float | None = None
    jaccard: float | None = None
    executed: float | None = None
    moved: float | None = None

    @property
    def executed_tflops(self) -> float | None:
        return self.executed / self.ms / 1e9 if self.executed is not None and self.ms else None

    @property
    def moved_gb(self) -> float | None:
        return None if self.moved is None else self.moved / 1e9

    @property
    def moved_gbs(self) -> float | None:
        return self.moved / self.ms / 1e6 if self.moved is not None and self.ms else None

    @property
    def key(self) -> tuple[int, int, str, str]:
        return self.context, self.group, self.what, self.source


@dataclass
class Work:
    """The least work of a row: floating-point operations, and bytes of HBM traffic."""

    flops: float = 0.0
    bytes: float = 0.0

    @property
    def floor_ms(self) -> float:
        return 1e3 * max(self.flops / PEAK_FLOPS, self.bytes / PEAK_BYTES)


def median_ms(call: Callable[[], object]) -> float:
    """Median milliseconds of a call after a warm-up call: do_bench's, or the median of three or one for a slow call."""
    if not torch.cuda.is_available():
        begun = time.perf_counter()
        call()
        return 1e3 * (time.perf_counter() - begun)
    from triton.testing import do_bench

    call()
    once = timed_once(call)
    if once > VERY_SLOW_MS:
        return once
    if once > SLOW_MS:
        return sorted([once, timed_once(call), timed_once(call)])[1]
    return do_bench(call, warmup=20, rep=100, return_mode="median")


def timed_once(call: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


@dataclass
class Table:
    """Rows so far. Rows that would begin after ``seconds`` are recorded as skipped."""

    out: Path
    seconds: float
    rows: list[Row] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> float:
        return self.seconds - (time.perf_counter() - self.begun)

    def measure(self, row: Row, work: Work, make: Callable[[], Callable[[], object]]) -> float | None:
        """Time the call that ``make`` returns. The text of an error takes the place of the time."""
        row.floor_ms = work.floor_ms
        # Without compilation, a row takes about four calls at a third of the peak.
        if self.left < max(0.0, 12e-3 * work.floor_ms):
            row.note = "skipped: out of time"
            return self.add(row)
        try:
            row.ms = median_ms(make())
        except Exception as error:  # noqa: BLE001 - whatever one kernel raises must not lose the other rows
            row.note = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if row.ms and work.flops:
            row.tflops = work.flops / row.ms / 1e9
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return self.add(row)

    def add(self, row: Row) -> float | None:
        self.rows.append(row)
        print(line(row), flush=True)
        self.write()
        return row.ms

    def find(self, context: int, group: int, what: str, source: str = "") -> float | None:
        """Milliseconds of an earlier row. None if the row failed or is missing."""
        return next((row.ms for row in self.rows if row.key == (context, group, what, source)), None)

    def write(self) -> None:
        head = heading()
        record = {**head, "rows": [{**asdict(row), **rates(row)} for row in self.rows]}
        (self.out / "hysparse-kernels.json").write_text(json.dumps(record, indent=1) + "\n")
        lines = [f"{name}: {value}  " for name, value in head.items()]
        lines += ["", f"| {' | '.join(HEADINGS)} |", "|" + " --- |" * len(HEADINGS)]
        lines += [*(line(row) for row in self.rows), *choices(self.rows)]
        (self.out / "hysparse-kernels.md").write_text("\n".join(lines) + "\n")


HEADINGS = (
    "context", "group", "what", "indices", "ms", "useful TFLOP/s", "floor, ms", "union of a tile, blocks",
    "executed TFLOP/s [calculated]", "L2, GB [calculated]", "L2, GB/s [calculated]", "note",
)  # fmt: skip


def line(row: Row) -> str:
    values = (row.ms, row.tflops, row.floor_ms, row.union, row.executed_tflops, row.moved_gb, row.moved_gbs)
    numbers = ["" if x is None else f"{x:.4g}" for x in values]
    cells = [str(row.context), str(row.group), row.what, row.source, *numbers, row.note.replace("|", "/")]
    return f"| {' | '.join(cells)} |"


def rates(row: Row) -> dict[str, float | None]:
    """Figures of a record that follow from a row."""
    return {"executed_tflops": row.executed_tflops, "moved_gbs": row.moved_gbs}


def choices(rows: list[Row]) -> list[str]:
    """A section of the sets of indices that rows describe, or nothing."""
    cells = [
        (str(row.context), row.source, f"{row.union:.1f}", f"{row.jaccard:.2f}", row.note)
        for row in rows
        if row.union is not None and row.jaccard is not None
    ]
    if not cells:
        return []
    head = "| context | indices | union of a tile, blocks | Jaccard of neighbours, last 2,048 queries | note |"
    return ["", "## Union size, Jaccard", "", head, "|" + " --- |" * 5, *(f"| {' | '.join(cell)} |" for cell in cells)]


def heading() -> dict[str, str]:
    """Card, versions, command and date of this run."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else f"none ({platform.machine()} CPU)"
    versions = {name: version(name) for name in ("torch", "triton", "vllm", "verl", "transformers")}
    return {
        "card": card,
        "versions": ", ".join(f"{name} {found}" for name, found in versions.items() if found),
        "cudnn": str(torch.backends.cudnn.version() if torch.cuda.is_available() else None),
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
    }


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
