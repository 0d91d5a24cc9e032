"""A thread of the driver that notices what Ray tells late or never: a dead server, a silent cluster, a lost worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from judgerlvr.cluster.lost_actors import lost_actors, silence_of
from judgerlvr.cluster.ray import CONNECT_SECONDS, answers
from judgerlvr.cluster.session import Session
from judgerlvr.engine.signals import SignalHandlers
from judgerlvr.runs.causes import describe

PERIOD = 2.0
# Ray's own error says more, so a lost worker ends the stage only where no error has come by then.
LINGER = 30.0
REFUSALS = 3
# Actors of the transfer queue. Others talk to these by sockets, so Ray has no error that is worth waiting for.
QUEUE = ("TransferQueueController", "SimpleStorageUnit")


class ClusterWatch:
    """What is looked at each ``PERIOD`` seconds."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.address = ""
        self.refusals = 0
        self.lost_since: float | None = None

    def fault(self) -> str | None:
        """Why the stage cannot go on, None while all is well."""
        return self.session.dead_part() or self._silence() or self._loss()

    def _silence(self) -> str | None:
        self.address = self.address or ray.get_runtime_context().gcs_address
        self.refusals = 0 if answers(self.address) else self.refusals + 1
        return silence_of(self.address) if self.refusals >= REFUSALS else None

    def _loss(self) -> str | None:
        if self.refusals or not (lost := lost_actors()):
            return None
        self.lost_since = self.lost_since or time.monotonic()
        overdue = time.monotonic() - self.lost_since >= LINGER or any(one.name in QUEUE for one in lost)
        return describe(lost[0], self.session.log_of(lost[0].pid)) if overdue else None


@contextmanager
def watched(session: Session, handlers: SignalHandlers) -> Iterator[None]:
    """Interrupt the main thread with the cause, as soon as the stage cannot go on."""
    done = threading.Event()

    def look() -> None:
        watch = ClusterWatch(session)
        while not done.wait(PERIOD):
            if ray.is_initialized() and handlers.installed and (cause := watch.fault()):
                handlers.fail(cause)
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(CONNECT_SECONDS)
