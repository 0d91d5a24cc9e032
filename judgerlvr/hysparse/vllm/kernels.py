"""Kernels that work on vLLM's paged cache itself, where the device has them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from judgerlvr.hysparse.ops.dispatch import operations

PAGED = "judgerlvr.hysparse.ops.triton.page"


def paged_kernels(device_type: str) -> ModuleType | None:
    """The module of kernels over pages; None where the reference runs, on CPU or because it was asked for.

    Raises RuntimeError where neither can run.
    """
    return import_module(PAGED) if operations(device_type).sparse_decode is not None else None
