"""Which implementation of an operation runs: the PyTorch reference on CPU, Triton kernels on CUDA."""

from __future__ import annotations

import os
from types import ModuleType

from torch import Tensor

from judgerlvr.hysparse.ops import reference
from judgerlvr.hysparse.ops.selection import Selection
from judgerlvr.hysparse.segments import Segments

BACKEND_VARIABLE = "JUDGERLVR_HYSPARSE_BACKEND"
REFERENCE = "reference"


def backend(device_type: str) -> ModuleType:
    """Module with the operations for ``device_type``.

    Raises RuntimeError naming what is missing when there is none; setting JUDGERLVR_HYSPARSE_BACKEND=reference
    runs the reference on any device, in memory quadratic in the sequence.
    """
    chosen = os.environ.get(BACKEND_VARIABLE, "")
    if chosen not in ("", REFERENCE):
        raise RuntimeError(f"{BACKEND_VARIABLE}={chosen} is unknown; unset it, or set it to {REFERENCE!r}")
    if device_type == "cpu" or chosen == REFERENCE:
        return reference
    raise RuntimeError(
        f"HySparse has no kernels for device {device_type!r}: the package holds no Triton operations; "
        f"run on CPU, or set {BACKEND_VARIABLE}={REFERENCE} (memory grows with the square of the sequence)"
    )


def full_attention(q: Tensor, k: Tensor, v: Tensor, segments: Segments, sinks: Tensor | None = None) -> Tensor:
    """Causal attention of a full layer that selects nothing; see ``reference.full_attention``."""
    out: Tensor = backend(q.device.type).full_attention(q, k, v, segments, max(segments.keys, 1), sinks).out
    return out


def full_attention_with_selection(
    q: Tensor, k: Tensor, v: Tensor, segments: Segments, selection: Selection, sinks: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Output and selected block indices of a full layer; see ``reference.full_attention_with_selection``."""
    pair: tuple[Tensor, Tensor] = backend(q.device.type).full_attention_with_selection(
        q, k, v, segments, selection, sinks
    )
    return pair


def sparse_attention(
    q: Tensor, k: Tensor, v: Tensor, indices: Tensor, segments: Segments, block: int, sinks: Tensor | None = None
) -> Tensor:
    """Attention over selected blocks of shared K and V; see ``reference.sparse_attention``."""
    out: Tensor = backend(q.device.type).sparse_attention(q, k, v, indices, segments, block, sinks)
    return out


def window_attention(
    q: Tensor, k: Tensor, v: Tensor, segments: Segments, window: int, sinks: Tensor | None = None
) -> Tensor:
    """Attention over a layer's own last tokens; see ``reference.window_attention``."""
    out: Tensor = backend(q.device.type).window_attention(q, k, v, segments, window, sinks)
    return out
