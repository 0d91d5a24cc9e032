"""Lines of progress of a sampling run: samples, tokens a second, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from judgerlvr.sampling.work import JobWork
from rewards.wording import counted

LINE_SECONDS = 10.0


class Progress:
    """Tells a line about every ten seconds. Rates count what this attempt has sampled, from its first engine on."""

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.tell, self._clock = tell, clock
        self._told = clock()
        self._without = clock()
        self._first: float | None = None
        self._before = (0, 0)

    def begin(self, work: Sequence[JobWork]) -> None:
        """Tell what an earlier attempt has left."""
        done, tokens, wanted = _totals(work)
        self._before = done, tokens
        kept = f", {done} are there from an earlier attempt" if done else ""
        self.tell(f"  samples: {wanted} of {counted(len(work), 'model')} and decodings{kept}")
        for job in work:
            decoding, thinks = job.job.decoding, ", the prompt opens thinking" if job.prompts.opens_thinking else ""
            self.tell(f"  {job.job.name}: {decoding.name}, at most {counted(decoding.max_tokens, 'token')}{thinks}")

    def show(self, work: Sequence[JobWork], engines: int) -> None:
        """Tell how far the run is, at most every ten seconds. ``engines`` have loaded a model."""
        now = self._clock()
        if engines:
            self._without = now
            self._first = now if self._first is None else self._first
        if now - self._told >= LINE_SECONDS:
            self._told = now
            self.tell(self._line(work, engines) if engines else f"{self._line(work, 0)}, no engine has started")

    def seconds_without_engine(self, any_engine: bool) -> float:
        """How long no engine has been there."""
        if any_engine:
            self._without = self._clock()
        return self._clock() - self._without

    def end(self, work: Sequence[JobWork]) -> None:
        """Tell the rate of the whole attempt, and the shares of every job that a person should know."""
        self.tell(self._line(work, 0))
        for job in work:
            self.tell(f"  {job.job.name} ({job.job.decoding.name}): {shares(job)}")

    def rate(self, work: Sequence[JobWork]) -> tuple[float, float]:
        """(samples, tokens) a second of this attempt."""
        seconds = 0.0 if self._first is None else self._clock() - self._first
        done, tokens, _ = _totals(work)
        if seconds <= 0:
            return 0.0, 0.0
        return (done - self._before[0]) / seconds, (tokens - self._before[1]) / seconds

    def _line(self, work: Sequence[JobWork], engines: int) -> str:
        done, _, wanted = _totals(work)
        samples, tokens = self.rate(work)
        parts = [f"  samples: {done} of {wanted}", f"{tokens:.0f} tokens/s"]
        if engines:
            parts.append(f"engines {engines}")
            parts.append(f"{_duration((wanted - done) / samples)} left" if samples else "time left unknown")
        return ", ".join(parts)


def shares(work: JobWork) -> str:
    """The samples of a job: mean tokens, cut samples under the token limit, and thinking that never closed."""
    count = work.counts["samples"]
    if not count:
        return "no samples"
    parts = [
        f"{counted(count, 'sample')}",
        f"{work.counts['tokens'] / count:.1f} tokens each",
        f"{work.counts['truncated'] / count:.1%} cut at {counted(work.job.decoding.max_tokens, 'token')}",
    ]
    if work.prompts.opens_thinking or work.counts["unclosed"]:
        parts.append(f"{work.counts['unclosed'] / count:.1%} with thinking that never closed")
    if work.counts["too long"]:
        parts.append(f"{work.counts['too long']} with a prompt too long to answer")
    return ", ".join(parts)


def _totals(work: Sequence[JobWork]) -> tuple[int, int, int]:
    """(samples on the disk, their tokens, samples wanted so far)."""
    done = sum(job.counts["samples"] for job in work)
    return done, sum(job.counts["tokens"] for job in work), sum(job.wanted for job in work)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
