"""Arguments of ``ray.init``."""

from __future__ import annotations

from typing import Any

# Ray counts logical CPUs when it places verl's many small actors. The actors sleep most of the time,
# so a laptop may offer more CPUs than it has cores.
LOGICAL_CPUS = 16


def cluster_arguments(device: str, address: str | None) -> dict[str, Any]:
    """Arguments of ``ray.init``: the running cluster at ``address``, or a private cluster on this machine."""
    if address:
        return {"address": address}
    # Without an address Ray would join whatever cluster was last started on this machine.
    private: dict[str, Any] = {"address": "local", "include_dashboard": False}
    return private | ({"num_cpus": LOGICAL_CPUS, "num_gpus": 1} if device == "cpu" else {})
