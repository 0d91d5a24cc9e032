"""Whether HySparse can run on a device, asked before any weight is read."""

from __future__ import annotations

from judgerlvr.hysparse.ops.dispatch import operations
from rewards.errors import InputError


def check_backend(device: str = "cpu") -> None:
    """Raise InputError for an unknown JUDGERLVR_HYSPARSE_BACKEND, and for a device that HySparse cannot run on.

    ``device`` may have a number, such as cuda:1.
    """
    try:
        operations(device.partition(":")[0])
    except RuntimeError as error:
        problem, _, remedy = str(error).partition("; ")
        raise InputError(problem, remedy) from error
