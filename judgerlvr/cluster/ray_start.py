"""The start of Ray: patience on a busy machine, and one line where Ray does not start."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import ray

from judgerlvr.cluster.ray import without_ray_s_handler
from judgerlvr.cluster.session import START_SECONDS, Session
from rewards.errors import CommandFailed, failing, one_line

PAUSE = 0.2
REMEDY = "wait until other work on the machine has ended, then give the same command again"


@contextmanager
def starting(opened: Session, seconds: float = START_SECONDS) -> Iterator[None]:
    """A block that starts or joins Ray by ``ray.init`` and then works with Ray.

    Raises:
        CommandFailed: Ray did not start, or the cluster does not let this process join. Later errors pass.
    """
    patience = _patience(opened, seconds) if opened.folder else nullcontext()
    with patience, failing(_not_started), without_ray_s_handler():
        yield


def _not_started(error: Exception) -> str | None:
    """What the error says, None once Ray has started."""
    if ray.is_initialized() or isinstance(error, ray.exceptions.RayError):
        return None
    return f"Ray did not start ({type(error).__name__}: {one_line(error)}); {REMEDY}"


@contextmanager
def _patience(opened: Session, seconds: float) -> Iterator[None]:
    """Let a private Ray start for ``seconds``. Ray takes no argument for the wait for its raylet."""
    services: Any = ray._private.services
    original = services.get_node
    services.get_node = waiting(original, opened, seconds)
    try:
        yield
    finally:
        services.get_node = original


def waiting(get_node: Callable[..., Any], opened: Session, seconds: float) -> Callable[..., Any]:
    """``get_node`` of Ray that waits until the node is there, while the servers of the session live."""

    @functools.wraps(get_node)
    def wait(*arguments: Any) -> Any:
        until = time.monotonic() + seconds
        while True:
            try:
                return get_node(*arguments)
            except RuntimeError as error:
                if dead := opened.dead_part():
                    raise CommandFailed(f"Ray did not start: {dead}; {REMEDY}") from error
                if time.monotonic() >= until:
                    raise CommandFailed(f"Ray did not start within {seconds:.0f} s; {REMEDY}") from error
            time.sleep(PAUSE)

    return wait
