"""Responses that pause at some tokens, where the caller may write another token. Samples are then no plain samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from judgerlvr.sampling.decoding import SEED_BITS, Decoding
from judgerlvr.sampling.requests import Finished, Prompts, Request
from judgerlvr.sampling.samples import CUT, Sample


@dataclass(frozen=True)
class Steering:
    """``pauses`` are ids of tokens. ``write`` gives the token to write from the text before and the sampled token."""

    pauses: tuple[int, ...]
    write: Callable[[str, int], int]


class Engine(Protocol):
    """The part of a sampler that steering needs. ``finished_of`` describes a whole response, ended by a reason."""

    @property
    def busy(self) -> bool: ...

    def add(self, request: Request) -> None: ...

    def step(self) -> list[Finished]: ...

    def text_of(self, ids: Sequence[int]) -> str: ...

    def finished_of(self, request: Request, ids: Sequence[int], reason: str) -> Finished: ...


@dataclass
class _Response:
    """One response so far: the request of the whole, and the ids that are written."""

    whole: Request
    ids: list[int] = field(default_factory=list)

    @property
    def rest(self) -> Request:
        """The request that goes on. Each part has a seed of its own, else each part would begin with the same luck."""
        whole, done = self.whole, len(self.ids)
        seed = None if whole.seed is None else (whole.seed + done) % (1 << SEED_BITS)
        return replace(whole, ids=[*whole.ids, *self.ids], limit=whole.limit - done, seed=seed)


def sample_steered(engine: Engine, prompts: Prompts, decoding: Decoding, steering: Steering) -> list[Sample]:
    """``decoding.n`` samples of each item, item by item, without log-probabilities, since some tokens are written.

    A prompt that leaves no room for a response is an empty sample, as in plain sampling.
    """
    places = [(place, index) for place in range(len(prompts.items)) for index in range(decoding.n)]
    waiting: dict[str, _Response] = {}
    for number, (place, index) in enumerate(places):
        if request := prompts.request(str(number), place, index, decoding):
            waiting[request.name] = _Response(replace(request, pauses=steering.pauses))
            engine.add(waiting[request.name].rest)
    ended = {finished.name: finished for finished in _to_the_end(engine, waiting, steering)}
    samples = (prompts.sample(*places[n], decoding, ended.get(str(n))) for n in range(len(places)))
    return [replace(sample, mean_logprob=None) for sample in samples]


def _to_the_end(engine: Engine, waiting: dict[str, _Response], steering: Steering) -> Iterator[Finished]:
    """Whole responses as they end. A paused response goes on in the same engine, beside the others."""
    while engine.busy:
        for part in engine.step():
            response = waiting[part.name]
            paused = part.ids[-1] in steering.pauses
            written = part.ids[:-1] if paused else part.ids
            response.ids += written
            if paused:
                response.ids.append(steering.write(engine.text_of(response.ids), part.ids[-1]))
            if paused and len(response.ids) < response.whole.limit:
                engine.add(response.rest)
            else:
                yield engine.finished_of(response.whole, response.ids, CUT if paused else part.finish_reason)
