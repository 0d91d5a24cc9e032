"""Arguments of ``ray.init``."""

from __future__ import annotations

import socket
from typing import Any

from rewards.errors import InputError

# Ray counts logical CPUs when it places verl's many small actors. The actors sleep most of the time,
# so a laptop may offer more CPUs than it has cores.
LOGICAL_CPUS = 16


ANSWER_SECONDS = 5.0


def answers(address: str) -> bool:
    """Whether something listens at ``HOST:PORT``."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def check_address(address: str) -> None:
    """Refuse an address at which no Ray cluster can be joined. Ray itself would wait for long, or for ever.

    Raises:
        InputError: a form that is not ``HOST:PORT`` or ``auto``, or a port where nothing listens.
    """
    remedy = "start the cluster, give HOST:PORT of its head node, or unset RAY_ADDRESS"
    if address == "auto":
        return
    if "://" in address or not address.rpartition(":")[2].isdigit():
        raise InputError(f"{address!r} is no address of a cluster", remedy, field="RAY_ADDRESS")
    if not answers(address):
        raise InputError(f"nothing listens at {address}", remedy, field="RAY_ADDRESS")


def cluster_arguments(device: str, address: str | None) -> dict[str, Any]:
    """Arguments of ``ray.init``: the running cluster at ``address``, or a private cluster on this machine."""
    if address:
        return {"address": address}
    # Without an address Ray would join whatever cluster was last started on this machine.
    private: dict[str, Any] = {"address": "local", "include_dashboard": False}
    return private | ({"num_cpus": LOGICAL_CPUS, "num_gpus": 1} if device == "cpu" else {})
