"""Which implementation of the operations runs: the PyTorch reference on CPU, Triton kernels on CUDA."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from judgerlvr.hysparse.ops.reference import (
    causal_attention,
    full_attention_with_selection,
    sparse_attention,
    window_attention,
)

BACKEND_VARIABLE = "JUDGERLVR_HYSPARSE_BACKEND"
REFERENCE = "reference"


@dataclass(frozen=True)
class Operations:
    """One implementation; arguments and results are those of the functions of the same name in ``reference``."""

    causal_attention: Callable[..., Tensor]
    full_attention_with_selection: Callable[..., tuple[Tensor, Tensor]]
    sparse_attention: Callable[..., Tensor]
    window_attention: Callable[..., Tensor]


REFERENCE_OPERATIONS = Operations(causal_attention, full_attention_with_selection, sparse_attention, window_attention)


def operations(device_type: str) -> Operations:
    """The implementation for ``device_type``.

    Raises RuntimeError naming what is missing when there is none; JUDGERLVR_HYSPARSE_BACKEND=reference runs the
    reference on any device, in memory quadratic in the sequence.
    """
    chosen = os.environ.get(BACKEND_VARIABLE, "")
    if chosen not in ("", REFERENCE):
        raise RuntimeError(f"{BACKEND_VARIABLE}={chosen} is unknown; unset it, or set it to {REFERENCE!r}")
    if device_type == "cpu" or chosen == REFERENCE:
        return REFERENCE_OPERATIONS
    raise RuntimeError(
        f"HySparse has no kernels for device {device_type!r}: the package holds no Triton operations; "
        f"run on CPU, or set {BACKEND_VARIABLE}={REFERENCE} (memory grows with the square of the sequence)"
    )
