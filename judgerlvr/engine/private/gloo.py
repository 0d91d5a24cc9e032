"""verl's process group on a CPU."""

from __future__ import annotations

import functools
from typing import Any


def use_plain_gloo() -> None:
    """Make verl's process group plain gloo.

    verl/utils/distributed.py builds "cpu:gloo,cpu:gloo" when the device is a CPU. torch refuses the duplicate device
    type. The function takes ``backend``, but no caller passes a backend.
    """
    from verl.utils import distributed

    original = distributed.initialize_global_process_group_ray
    if getattr(original, "_judgerlvr", False):
        return

    @functools.wraps(original)
    def with_gloo(timeout_second: int | None = None, backend: str | None = None) -> Any:
        return original(timeout_second=timeout_second, backend=backend or "gloo")

    with_gloo._judgerlvr = True  # type: ignore[attr-defined]
    distributed.initialize_global_process_group_ray = with_gloo
