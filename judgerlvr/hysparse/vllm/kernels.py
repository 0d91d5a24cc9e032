"""Kernels that work on vLLM's paged cache in place, if the device has them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from judgerlvr.hysparse.ops.dispatch import operations

PAGED = "judgerlvr.hysparse.ops.triton.page"


def paged_kernels(device_type: str) -> ModuleType | None:
    """The module of kernels over pages. None if the reference runs, on a CPU or on request.

    Raises RuntimeError if neither can run.
    """
    return import_module(PAGED) if operations(device_type).sparse_decode is not None else None
