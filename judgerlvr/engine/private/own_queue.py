"""A transfer queue of the stage's own on a cluster where other stages run.

The transfer queue finds its controller by one name and one namespace of the whole cluster. Two stages would then share
one queue, and each would clear the other's samples.
"""

from __future__ import annotations

import os
from typing import Any

import ray
from transfer_queue import interface

from judgerlvr.engine.devices import SOCKETS

# The namespace that the transfer queue has written into its code.
SHARED = "transfer_queue"


class _Ray:
    """Stands for ``ray`` in the queue's module: the shared namespace becomes the stage's own."""

    def __getattr__(self, name: str) -> Any:
        return getattr(ray, name)

    def get_actor(self, name: str, namespace: str | None = None) -> Any:
        return ray.get_actor(name, namespace=own_namespace(namespace))


class _Controller:
    """Stands for the controller's class, which is started under a name in a namespace."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def options(self, **given: Any) -> Any:
        return self.kind.options(**given | {"namespace": own_namespace(given.get("namespace"))})


def own_namespace(given: str | None) -> str | None:
    """The stage's namespace in the place of the shared one. Every process of a stage has the same mark."""
    mark = os.environ.get(SOCKETS)
    return f"{SHARED}-{mark}" if given == SHARED and mark else given


def own_queue() -> None:
    """Let this process find the stage's own queue. To be called before the queue is begun or found."""
    if not isinstance(interface.ray, _Ray):
        interface.ray = _Ray()
        interface.TransferQueueController = _Controller(interface.TransferQueueController)
