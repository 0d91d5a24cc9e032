"""One pool per process and setting, however often an adapter file is loaded."""

from __future__ import annotations

import os
import threading

from rewards.extraction.extract import Mode
from rewards.grading.pool import GraderPool

_lock = threading.Lock()
_pools: dict[tuple[int, str, int, Mode, bool], GraderPool] = {}


def shared_pool(verifier: str, workers: int, mode: Mode, thinking_open: bool) -> GraderPool:
    """The process's pool for these settings, made at first use; it ends with the process."""
    key = (os.getpid(), verifier, workers, mode, thinking_open)
    with _lock:
        if key not in _pools:
            _pools[key] = GraderPool(verifier, workers, mode=mode, thinking_open=thinking_open)
        return _pools[key]
