"""Tokens a second of one engine and of several, on the GPUs of this machine, in one call.

Each run is the command ``judgerlvr.sample_candidates`` with its own ``--engines``, the same policy and problems.
The count begins some seconds after every engine has loaded the policy, and ends the run after some seconds more.
A response counts when the response is on the disk. Starts of engines are never part of a rate.

    python -m benchmarks.data.candidate_scaling FOLDER [--shape dense-1.7b] [--engines 1 2]

``--shape`` makes a policy of random weights. Its responses end by chance, after ``--mean-tokens`` on average.
``--model DIR`` takes a policy that is there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.stages.engine_speed.shapes import SHAPES
from benchmarks.stages.real_shapes import make_policy
from data.jsonl import write_jsonl
from judgerlvr.pipeline.candidates import run
from judgerlvr.sample_candidates import parse_arguments
from judgerlvr.sampling.engines import Engines, EngineSettings, Event, Started, Turned
from judgerlvr.sampling.on_ray import ray_engines
from judgerlvr.sampling.requests import Request
from judgerlvr.tinyworld.problems import generate_problems


class Enough(Exception):
    """The count of a run has ended."""


class WatchedEngines:
    """Engines that note when each slot hands over how many tokens, and that end the run after the count.

    ``moments`` holds, for each slot, pairs of seconds and tokens.
    """

    def __init__(self, engines: Engines, ramp: float, seconds: float) -> None:
        self.engines, self.count = engines, engines.count
        self.ramp, self.seconds = ramp, seconds
        self.started: set[int] = set()
        self.begin: float | None = None
        self.moments: dict[int, list[tuple[float, int]]] = {slot: [] for slot in range(engines.count)}

    def start(self, slot: int, model: Path, context: int) -> None:
        self.engines.start(slot, model, context)

    def turn(self, slot: int, requests: Sequence[Request]) -> None:
        self.engines.turn(slot, requests)

    def stop(self, slot: int) -> None:
        self.engines.stop(slot)

    def wait(self, seconds: float) -> list[Event]:
        """Events of the engines.

        Raises:
            Enough: the count has ended.
        """
        now = time.monotonic()
        if self.begin is not None and now > self.begin + self.seconds + 2:
            raise Enough
        events = self.engines.wait(seconds)
        for event in events:
            self._note(event, time.monotonic())
        return events

    def _note(self, event: Event, now: float) -> None:
        if isinstance(event, Started):
            self.started.add(event.slot)
            if len(self.started) == self.count:
                self.begin = now + self.ramp
        elif isinstance(event, Turned) and self.begin is not None and now >= self.begin:
            self.moments[event.slot].append((now, sum(answer.tokens for answer in event.finished)))

    def rates(self) -> list[dict[str, float]]:
        """Tokens a second of each slot, between the slot's first turn in the count and its last."""
        found = []
        for moments in self.moments.values():
            seconds, tokens = moments[-1][0] - moments[0][0], sum(tokens for _, tokens in moments[1:])
            found.append({"seconds": round(seconds, 1), "tokens": tokens, "tokens/s": round(tokens / seconds, 1)})
        return found


def measure(folder: Path, words: Sequence[str], count: int, ramp: float, seconds: float) -> dict[str, object]:
    """One run of the command with a number of engines.

    Raises:
        RuntimeError: the problems ended before the count.
    """
    shutil.rmtree(folder, ignore_errors=True)
    watched: list[WatchedEngines] = []

    @contextmanager
    def opened(settings: EngineSettings) -> Iterator[WatchedEngines]:
        with ray_engines(settings) as engines:
            watched.append(WatchedEngines(engines, ramp, seconds))
            yield watched[0]

    command = [*words, "--out", str(folder), "--engines", str(count)]
    print(f"judgerlvr.sample_candidates {' '.join(command)}", flush=True)
    try:
        run(parse_arguments(command), opened)
    except Enough:
        rates = watched[0].rates()
        return {"engines": count, "tokens/s": round(sum(rate["tokens/s"] for rate in rates), 1), "each": rates}
    raise RuntimeError("all samples were there before the count ended: give more --problems")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data.candidate_scaling", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="dense-1.7b")
    parser.add_argument("--mean-tokens", type=int, default=400)
    parser.add_argument("--max-tokens", type=int, default=1024)
    parser.add_argument("--engines", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--problems", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=4, help="samples of a problem")
    parser.add_argument("--ramp", type=float, default=30, help="seconds between the last start and the count")
    parser.add_argument("--seconds", type=float, default=75, help="seconds of the count")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args(arguments)
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if options.model is None and not (folder / "policy").is_dir():
        make_policy(options.shape, folder, options.mean_tokens)
    problems = folder / f"problems-{options.problems}.jsonl"
    rows = generate_problems(options.problems, 0)
    write_jsonl(problems, ({"problem": row["problem"], "gold": row["gold"], "id": row["id"]} for row in rows))
    model = ["--model", str(options.model or folder / "policy"), f"n={options.samples}"]
    words = [*model, f"max_tokens={options.max_tokens}", "--data", str(problems), *options.overrides]
    runs = [
        measure(folder / f"engines-{count}", words, count, options.ramp, options.seconds) for count in options.engines
    ]
    for found in runs:
        times = float(str(found["tokens/s"])) / float(str(runs[0]["tokens/s"]))
        print(json.dumps({**found, "times the first": round(times, 3)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
