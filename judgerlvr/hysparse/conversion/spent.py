"""Seconds and GPU memory of a part of a command, printed when the part ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

GIB = 2**30


@contextmanager
def spending(what: str, device: str, shown: bool = True) -> Iterator[None]:
    """Print the seconds of the block if ``shown``, and on a GPU the peak of torch's allocator."""
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    begun = time.perf_counter()
    yield
    if on_gpu:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - begun
    memory = f", at most {torch.cuda.max_memory_allocated(device) / GIB:.2f} GiB of GPU memory" if on_gpu else ""
    if shown:
        print(f"{what}: {seconds:.2f} s{memory}", flush=True)
