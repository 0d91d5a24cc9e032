"""Choice of the implementation: the PyTorch reference on CPU, Triton kernels on CUDA."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from torch import Tensor

from judgerlvr.hysparse.ops.by_sequence import by_sequence
from judgerlvr.hysparse.ops.reference import (
    causal_attention,
    full_attention_with_selection,
    share,
    sparse_attention,
    window_attention,
)

BACKEND_VARIABLE = "JUDGERLVR_HYSPARSE_BACKEND"
REFERENCE, BY_OVERLAP, UNION = KNOWN = "reference", "by-overlap", "union"
KERNELS = "judgerlvr.hysparse.ops.triton.attention"
PAGED = "judgerlvr.hysparse.ops.triton.page"


@dataclass(frozen=True)
class Operations:
    """One implementation. Functions take and return what the functions of the same name in ``reference`` do.

    ``sparse_decode`` computes a sparse layer's gated sum for one query a row, without gradients. It may be None.
    ``gated_sum`` gates and sums the outputs of both branches.
    """

    causal_attention: Callable[..., Tensor]
    full_attention_with_selection: Callable[..., tuple[Tensor, Tensor]]
    share: Callable[..., Any]
    sparse_attention: Callable[..., Tensor]
    window_attention: Callable[..., Tensor]
    sparse_decode: Callable[..., Tensor] | None = None
    gated_sum: Callable[..., Tensor] | None = None


REFERENCE_OPERATIONS = Operations(
    by_sequence(causal_attention),
    by_sequence(full_attention_with_selection),
    share,
    by_sequence(sparse_attention, tensors=4),
    by_sequence(window_attention),
)


def operations(device_type: str, overlap_by_default: bool = True) -> Operations:
    """The implementation for ``device_type``. ``overlap_by_default``: whether an unset variable means by-overlap.

    Raises RuntimeError that names the missing thing if there is none. JUDGERLVR_HYSPARSE_BACKEND=reference runs the
    reference on any device, with memory quadratic in the sequence. JUDGERLVR_HYSPARSE_BACKEND=union keeps sparse layers
    on a GPU to union tiles. With by-overlap sparse layers may take KV-outer kernels too.
    """
    chosen = os.environ.get(BACKEND_VARIABLE, "")
    if chosen and chosen not in KNOWN:
        known = ", ".join(KNOWN)
        raise RuntimeError(f"{BACKEND_VARIABLE}={chosen} is unknown; unset it, or set it to one of {known}")
    if runs_reference(device_type):
        return REFERENCE_OPERATIONS
    missing = missing_for(device_type)
    if missing:
        raise RuntimeError(
            f"HySparse cannot run on device {device_type!r}: {missing}; run on CPU, or set "
            f"{BACKEND_VARIABLE}={REFERENCE} (memory grows with the square of the sequence)"
        )
    return triton_operations(chosen == BY_OVERLAP or (overlap_by_default and chosen != UNION))


def runs_reference(device_type: str) -> bool:
    """Whether the reference runs on ``device_type``: on a CPU, and elsewhere if the variable asks for the reference."""
    return device_type == "cpu" or os.environ.get(BACKEND_VARIABLE) == REFERENCE


def missing_for(device_type: str) -> str:
    """The reason why the Triton kernels cannot run on the device. Empty if they can."""
    if device_type != "cuda":
        return "it has kernels for 'cuda' only"
    if not find_spec("triton"):
        return "the package triton is not installed"
    if not find_spec("judgerlvr"):
        return "code saved with a model holds the reference only, and the package judgerlvr is not installed"
    return ""


@cache
def triton_operations(by_overlap: bool = True) -> Operations:
    """Operations on Triton kernels. The import is late, because triton exists for GPUs only.

    ``by_overlap``: sparse layers take the kernels that suit the overlap of their choices, else union tiles alone.
    """
    kernels = import_module(KERNELS)
    return Operations(
        kernels.causal_attention,
        kernels.full_attention_with_selection,
        kernels.share_by_overlap if by_overlap else kernels.share,
        kernels.sparse_attention,
        kernels.window_attention,
        kernels.sparse_decode,
        kernels.gated_sum,
    )


def paged_kernels(device_type: str) -> ModuleType | None:
    """The module of kernels over vLLM's paged cache. None if the reference runs, on a CPU or on request.

    Raises RuntimeError if neither can run.
    """
    return import_module(PAGED) if operations(device_type).sparse_decode is not None else None
