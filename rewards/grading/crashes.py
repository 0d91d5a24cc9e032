"""Whose fault the death of a worker is: the answer's that the worker was grading, or a stranger's."""

from __future__ import annotations

from collections import deque
from time import monotonic

TRIES = 3
# A stranger who kills workers at random is seen by the deaths of other workers, for this long.
_WINDOW_SECONDS = 5.0
_MOST_EXCUSED = 60


class CrashBook:
    """Deaths of workers, and how often each suspected answer died alone in a fresh worker.

    An answer that kills its own worker dies every time. Such an answer is given up after ``tries`` deaths in which
    nothing else died. A death near the death of another worker is excused, up to a bound.
    """

    def __init__(self, tries: int = TRIES) -> None:
        self._tries = tries
        self._deaths: deque[tuple[float, int | None]] = deque(maxlen=256)
        self._own: dict[int, int] = {}
        self._excused: dict[int, int] = {}

    def note(self, job: int | None) -> None:
        """A worker died while it graded ``job``, or while it was idle."""
        self._deaths.append((monotonic(), job))

    def convicts(self, job: int) -> bool:
        """Note that ``job`` died alone in a fresh worker. True when the job is to be given up."""
        strangers = self._others(job)
        self.note(job)
        book = self._excused if strangers else self._own
        book[job] = book.get(job, 0) + 1
        return self._own.get(job, 0) >= self._tries or self._excused.get(job, 0) >= _MOST_EXCUSED

    def acquit(self, job: int) -> None:
        """``job`` was graded after all, so that its earlier deaths were a stranger's."""
        now = monotonic()
        self._deaths.extend((now, None) for time, died in list(self._deaths) if died == job and now - time < 60)
        self._own.pop(job, None)
        self._excused.pop(job, None)

    def _others(self, job: int) -> bool:
        since = monotonic() - _WINDOW_SECONDS
        return any(time >= since and died != job for time, died in self._deaths)
