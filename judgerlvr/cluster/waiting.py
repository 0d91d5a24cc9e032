"""The wait for the nodes of a cluster that is starting."""

from __future__ import annotations

import time

from judgerlvr.cluster.jobs import check_dashboard, credentials, host_and_port
from judgerlvr.cluster.ray import answers
from rewards.errors import CommandFailed

# A container image may have to reach each node before Ray starts there.
JOIN_SECONDS = 600.0
POLL = 2.0


def wait_for_nodes(address: str, wanted: int, seconds: float = JOIN_SECONDS) -> int:
    """Wait until ``wanted`` nodes live; returns how many do.

    Raises:
        InputError: no dashboard address.
        CommandFailed: fewer nodes live after ``seconds``.
    """
    check_dashboard(address)
    until = time.monotonic() + seconds
    while (found := living_nodes(address)) < wanted:
        if time.monotonic() > until:
            raise CommandFailed(
                f"{found} of {wanted} nodes have joined {address} after {seconds:.0f} s; the nodes' own logs say why"
            )
        time.sleep(POLL)
    return found


def living_nodes(address: str) -> int:
    """Nodes that Ray lists as alive, 0 where no dashboard answers yet."""
    if not answers(host_and_port(address)):
        return 0
    from ray.util.state.api import StateApiClient
    from ray.util.state.common import ListApiOptions, StateResource
    from ray.util.state.exception import RayStateApiException

    try:
        client = StateApiClient(address, headers={"Content-Type": "application/json", **credentials()})
        alive = ListApiOptions(filters=[("state", "=", "ALIVE")])
        return len(client.list(StateResource.NODES, alive, raise_on_missing_output=False))
    # A dashboard that has just opened its port knows no nodes yet.
    except (ConnectionError, RuntimeError, RayStateApiException):
        return 0
