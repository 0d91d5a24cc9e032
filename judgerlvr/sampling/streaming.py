"""The sampling room's one door: items, models and decodings in, records on disk out, resumable at any moment.

    with ray_engines(EngineSettings(device="gpu")) as engines:
        store = sample_items(folder, items, jobs, engines, tell=print)
    for job, sample in store.samples(items):
        ...

Samples depend on model, prompt, decoding, identity and index alone, so that the number of engines changes no sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from judgerlvr.runs.lock import held
from judgerlvr.sampling.engines import Engines, Event, Lost, Started, Turned
from judgerlvr.sampling.plan import Job, Plan, Rounds
from judgerlvr.sampling.progress import Progress
from judgerlvr.sampling.requests import Finished, Prompts, Request
from judgerlvr.sampling.samples import Item, Sample
from judgerlvr.sampling.store import SampleStore
from judgerlvr.sampling.work import JobWork, Place
from rewards.errors import CommandFailed, InputError

# Requests that an engine holds for each request that runs at once, so that no turn runs dry.
HELD = 2
# Engines lost one after another without a sample between.
LOSSES = 3
POLL_SECONDS = 5.0
START_MINUTES = 30.0
# Places and finished requests by the key of their work.
Ended = dict[str, list[tuple[Place, Finished]]]


class NoEngine(CommandFailed):
    """No engine can be had: each one was lost, or none has started in time."""


def sample_items(
    folder: Path,
    items: Sequence[Item],
    jobs: Sequence[Job],
    engines: Engines,
    *,
    rounds: Rounds | None = None,
    engine: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] = lambda line: None,
    afresh: bool = False,
) -> SampleStore:
    """Sample every item by every job into ``folder``, and return the store of all samples.

    The same call after a death samples what is missing. Jobs with one model are best neighbours.
    ``rounds`` ends a problem early. ``engine`` holds the arguments of ``vllm.LLM``, which the plan remembers.
    ``tell`` gets lines of progress. ``afresh`` empties a folder of other settings instead of refusing.

    Raises:
        InputError: the folder holds samples of other settings, or another process writes there.
        NoEngine: every engine was lost. What was sampled stays, and the same call goes on.
    """
    plan = Plan.of(items, jobs, rounds, engine)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder):
        store = SampleStore.open(folder, plan, afresh)
        try:
            _Run(store, items, jobs, engines, rounds, engine or {}, tell).go()
        finally:
            store.close()
    return store


class _Run:
    """The loop of the driver: hands requests to slots, and writes what comes back."""

    def __init__(
        self,
        store: SampleStore,
        items: Sequence[Item],
        jobs: Sequence[Job],
        engines: Engines,
        rounds: Rounds | None,
        engine: Mapping[str, Any],
        tell: Callable[[str], None],
    ) -> None:
        self.store, self.engines = store, engines
        prompts = {model: Prompts(model, items, engine) for model in dict.fromkeys(job.model for job in jobs)}
        self.work = [
            JobWork(key, job, prompts[job.model], rounds) for key, job in zip(store.plan.jobs, jobs, strict=True)
        ]
        self._contexts = {
            model: prompts[model].needed_context(max(job.decoding.max_tokens for job in jobs if job.model == model))
            for model in prompts
        }
        self.slots = [_Slot(number) for number in range(engines.count)]
        self.progress = Progress(tell)

    def go(self) -> None:
        """Sample until nothing is missing."""
        by_key = {work.key: work for work in self.work}
        for record in self.store.records():
            try:
                by_key[record["job"]].take_back(record)
            except InputError as error:
                raise replace(error, file=self.store.folder) from error
        for work in self.work:
            self._write(work, work.prepare())
        self.progress.begin(self.work)
        while any(not work.done for work in self.work):
            for slot in self.slots:
                self._feed(slot)
            ended = [self._handle(event) for event in self.engines.wait(POLL_SECONDS)]
            # Engines run on while their samples are graded and written.
            for slot in self.slots:
                self._feed(slot, same_model=True)
            for samples in ended:
                self._take(samples)
            self._check()
            self.progress.show(self.work, sum(slot.width > 0 for slot in self.slots))
        for slot in self.slots:
            self.engines.stop(slot.number)
        self.progress.end(self.work)

    def _feed(self, slot: _Slot, same_model: bool = False) -> None:
        """Start the engine that the slot needs next, or hand the engine its share of the requests.

        ``same_model`` starts no engine: samples that are not graded yet may ask for more of the loaded model.
        """
        if slot.busy or slot.retired:
            return
        work = self._next_work(slot)
        if work is None or (same_model and slot.model != work.job.model):
            return
        if slot.model != work.job.model:
            slot.load(work.job.model)
            self.engines.start(slot.number, work.job.model, self._contexts[work.job.model])
            return
        self.engines.turn(slot.number, slot.hand(self._share(slot)))

    def _next_work(self, slot: _Slot) -> JobWork | None:
        """Work of the loaded model while there is any or while requests run, then of the first model with work."""
        own = [work for work in self.work if work.job.model == slot.model]
        if slot.held:
            return own[0]
        return next((work for work in [*own, *self.work] if work.waiting), None)

    def _share(self, slot: _Slot) -> list[tuple[JobWork, Place]]:
        """An equal part of what is left of the slot's model, within what the engine holds."""
        own = [work for work in self.work if work.job.model == slot.model]
        peers = [other for other in self.slots if other.model == slot.model and not other.retired]
        left = sum(len(work.waiting) for work in own) + sum(len(peer.held) for peer in peers)
        room = min(HELD * slot.width, -(-left // len(peers))) - len(slot.held)
        places: list[tuple[JobWork, Place]] = []
        for work in own:
            while work.waiting and len(places) < room:
                places.append((work, work.waiting.popleft()))
        return places

    def _handle(self, event: Event) -> Ended:
        """Note what has happened to a slot. Returns the samples that have ended, none of them written."""
        slot = self.slots[event.slot]
        slot.busy = False
        if isinstance(event, Started):
            slot.width = event.width
        elif isinstance(event, Turned):
            return slot.release(event.finished)
        else:
            self._lose(slot, event)
        return {}

    def _take(self, ended: Ended) -> None:
        for work in self.work:
            if work.key in ended:
                self._write(work, work.samples(ended[work.key]))

    def _write(self, work: JobWork, samples: Sequence[Sample]) -> None:
        """Samples first reach the disk, then decide whether their problems go on."""
        while samples:
            self.store.add(work.key, samples)
            samples = work.count(samples)

    def _lose(self, slot: _Slot, event: Lost) -> None:
        for work, place in reversed(slot.held.values()):
            work.waiting.appendleft(place)
        slot.lose(event.cause)
        self.progress.tell(f"engine {slot.number} was lost and starts again: {event.cause}")

    def _check(self) -> None:
        """Raise where no engine is left."""
        if all(slot.retired for slot in self.slots):
            causes = dict.fromkeys(slot.cause for slot in self.slots)
            raise NoEngine(f"every engine was lost {LOSSES} times without a sample: {'; '.join(causes)}")
        if self.progress.seconds_without_engine(any(slot.width for slot in self.slots)) > START_MINUTES * 60:
            raise NoEngine(f"no engine has started in {START_MINUTES:g} minutes: the cluster has no room for one")


class _Slot:
    """What the driver knows of one engine."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.model: Path | None = None
        self.width = 0
        self.held: dict[str, tuple[JobWork, Place]] = {}
        self.busy = False
        self.losses = 0
        self.cause = ""
        self._handed = 0

    @property
    def retired(self) -> bool:
        return self.losses >= LOSSES

    def load(self, model: Path) -> None:
        self.model, self.width, self.busy = model, 0, True

    def hand(self, places: Sequence[tuple[JobWork, Place]]) -> list[Request]:
        """The requests of these places, which the slot holds from now on."""
        self.busy = True
        requests = []
        for work, place in places:
            self._handed += 1
            name = str(self._handed)
            self.held[name] = work, place
            requests.append(work.request(name, place))
        return requests

    def release(self, finished: Sequence[Finished]) -> Ended:
        """The places of finished requests, which the slot holds no longer."""
        ended: Ended = {}
        for answer in finished:
            work, place = self.held.pop(answer.name)
            ended.setdefault(work.key, []).append((place, answer))
        if finished:
            self.losses = 0
        return ended

    def lose(self, cause: str) -> None:
        self.model, self.width, self.cause = None, 0, cause
        self.held.clear()
        self.losses += 1
