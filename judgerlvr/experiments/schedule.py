"""Jobs that wait for other jobs, carried out as many at once as there is room for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from judgerlvr.experiments.commands import together


@dataclass(frozen=True)
class Job:
    """Work under a name. ``after`` names a job that must have ended before, None for no job."""

    name: Hashable
    run: Callable[[], None]
    after: Hashable | None = None


def carry_out(jobs: Sequence[Job], at_once: int) -> None:
    """Run all jobs, at most ``at_once`` at a time, the first ready job first.

    The first failure ends the commands of the other jobs and is raised. No job starts behind a failure.
    """
    schedule = _Schedule(jobs)
    together([schedule.work] * min(at_once, len(jobs)), at_once)


class _Schedule:
    """What the workers of one call share."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.waiting = list(jobs)
        self.ended: set[Hashable] = set()
        self.changed = threading.Condition()

    def work(self) -> None:
        """Take jobs until none is left."""
        while job := self._take():
            with ExitStack() as failure:
                failure.callback(self._give_up)
                job.run()
                failure.pop_all()
            self._end(job)

    def _take(self) -> Job | None:
        with self.changed:
            while self.waiting:
                ready = next((job for job in self.waiting if job.after is None or job.after in self.ended), None)
                if ready:
                    self.waiting.remove(ready)
                    return ready
                self.changed.wait()
        return None

    def _end(self, job: Job) -> None:
        with self.changed:
            self.ended.add(job.name)
            self.changed.notify_all()

    def _give_up(self) -> None:
        """Workers that wait for a job would wait for ever."""
        with self.changed:
            self.waiting.clear()
            self.changed.notify_all()
