"""How much of an experiment fits on this machine at once."""

from __future__ import annotations

import os
from typing import Literal

import psutil

from judgerlvr.cluster.environment import CPU_THREADS, cpu_sampling
from judgerlvr.experiments.commands import ALONE, Room

# Two stages of a tiny policy hold about 10 GiB. The rest is for what else the machine does.
TWO_STAGES_GIB = 20.0


def room_here(device: Literal["cpu", "gpu"], address: str | None) -> Room:
    """Room on a CPU: an evaluation for each engine that has threads of its own. A GPU is full with one engine."""
    engines = (os.cpu_count() or 1) // int(cpu_sampling(1.0)[CPU_THREADS])
    if device == "gpu" or address or engines < 2:
        return ALONE
    free = psutil.virtual_memory().available / 2**30
    if free < TWO_STAGES_GIB:
        print(f"{free:.1f} GiB of memory are free, below {TWO_STAGES_GIB:g}: one stage at a time", flush=True)
    return Room(engines, free >= TWO_STAGES_GIB)
