"""How much of an experiment fits on this machine at once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import psutil

from judgerlvr.experiments.commands import ALONE, Room

# An engine on a CPU has half of the cores (``cpu_sampling``), so two engines fill the machine.
AT_ONCE = 2
# Two stages of a shipped policy hold about 10 GiB. The rest is for what else the machine does.
TWO_STAGES_GIB = 20.0
# An evaluation is a stage's engine without the training, so two evaluations hold less than two stages.
TWO_EVALUATIONS_GIB = 10.0
# The largest shipped policy has 7.1 MiB. Memory of two at once has been measured at no larger size.
LARGEST_MIB = 8.0


def room_here(device: Literal["cpu", "gpu"], address: str | None, policies: Iterable[Path]) -> Room:
    """Room on a CPU for two engines of ``policies`` at once. A GPU is full with one engine."""
    if device == "gpu" or address or (os.cpu_count() or 1) < AT_ONCE:
        return ALONE
    if unknown := next((policy for policy in policies if not _is_small(policy)), None):
        print(f"{unknown} has more than {LARGEST_MIB:g} MiB or is not here: one command at a time", flush=True)
        return ALONE
    free = psutil.virtual_memory().available / 2**30
    if free < TWO_STAGES_GIB:
        print(f"{free:.1f} GiB of memory are free, below {TWO_STAGES_GIB:g}: one stage at a time", flush=True)
    if free < TWO_EVALUATIONS_GIB:
        print(f"below {TWO_EVALUATIONS_GIB:g} GiB: one evaluation at a time", flush=True)
    return Room(AT_ONCE if free >= TWO_EVALUATIONS_GIB else 1, free >= TWO_STAGES_GIB)


def _is_small(policy: Path) -> bool:
    """Whether a model directory is one of a size at which memory has been measured."""
    files = [path.stat().st_size for path in policy.glob("*") if path.is_file()]
    return 0 < sum(files) <= LARGEST_MIB * 2**20
