"""Why sampling of a step takes HySparse longer than its twin: the same prompts through vLLM, one cause less at a time.

    python -m benchmarks.hysparse.long_rl.sampling OUT [--tiny] [--seconds 460] [--only 1 3 5] [--no-profile]

OUT/policies holds the policies that `run.py` made, and the options are those of `run.py`. Each engine has a process of
its own. All processes import at once and then take the GPU in turn. A round samples the prompts of one step, all fresh,
from an empty prefix cache. The engine lives in the process that times it. The way of the choices from the engine to the
trainer is therefore no part of a round, and neither is the server's. OUT/sampling.json and .md hold what has ended, of
earlier calls too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.hysparse.long_rl.options import make_parser, parsed
from benchmarks.hysparse.long_rl.sampling_rounds import Result, table
from benchmarks.hysparse.long_rl.sampling_variants import Engine, Variant, in_turn, numbers, wanted
from judgerlvr.cluster.environment import COMMON, prepare_environment
from judgerlvr.hysparse.ops.dispatch import BACKEND_VARIABLE, BY_OVERLAP, UNION

RESERVE = 45.0  # seconds that an engine leaves to each later engine, where there are so many
SPARE = 30.0  # seconds past its time after which a process is ended


def parse_arguments() -> argparse.Namespace:
    parser = make_parser((__doc__ or "").split("\n")[0])
    parser.add_argument("--backend", choices=[BY_OVERLAP, UNION], help="kernels of HySparse; none adds variant 7")
    parser.add_argument("--only", type=int, nargs="+", default=numbers(), help="numbers of variants")
    parser.add_argument("--rounds", type=int, default=3, help="timed, of a variant")
    parser.add_argument("--no-profile", action="store_true", help="leave out the profiled round")
    parser.add_argument("--interleaved", action="store_true", help="samples of a prompt do not follow each other")
    parser.add_argument("--engine", help="engine that this process measures")
    return parsed(parser)


def main() -> int:
    options = parse_arguments()
    engines = {engine.name: engine for engine in in_turn(wanted(options))}
    if error := missing(options, engines.values()):
        print(f"error: {error}", file=sys.stderr)
        return 2
    (options.out / "sampling").mkdir(parents=True, exist_ok=True)
    if options.engine:
        measure_engine(engines[options.engine], options)
        return 0
    end, processes = time.time() + options.seconds, [begin(engine, options) for engine in engines.values()]
    for number, (engine, process) in enumerate(zip(engines.values(), processes, strict=True), 1):
        now = time.time()
        finish(engine, process, now + share(end - now, len(engines) - number), options)
        write(options)
    print((options.out / "sampling.md").read_text(), flush=True)
    return 0


def share(left: float, later: int) -> float:
    """Seconds of ``left`` that an engine may take which ``later`` others follow. An equal part is the least."""
    return max(left / (later + 1), left - RESERVE * later)


def missing(options: argparse.Namespace, engines: Iterable[Engine]) -> str:
    """What keeps the call from its work, or ""."""
    policies = dict.fromkeys(policy for engine in engines for policy in engine.policies)
    folders = [options.out / "policies" / policy for policy in policies]
    if not folders:
        asked, least, most = " ".join(map(str, options.only)), min(numbers()), max(numbers())
        return f"--only {asked} names no variant; give numbers from {least} to {most}"
    absent = [folder for folder in folders if not (folder / "config.json").is_file()]
    return f"{absent[0]} holds no policy; train policies with benchmarks.hysparse.long_rl.run" if absent else ""


def file_of(engine: Engine, options: argparse.Namespace) -> Path:
    return Path(options.out) / "sampling" / f"{engine.name}.jsonl"


def begin(engine: Engine, options: argparse.Namespace) -> subprocess.Popen[str]:
    file_of(engine, options).unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.hysparse.long_rl.sampling", *sys.argv[1:], "--engine", engine.name]
    environment = os.environ | COMMON | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    if engine.backend:
        environment[BACKEND_VARIABLE] = engine.backend
    with file_of(engine, options).with_suffix(".log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, env=environment)


def finish(engine: Engine, process: subprocess.Popen[str], until: float, options: argparse.Namespace) -> None:
    """Let a process have the GPU until ``until``. Variants that the process did not reach say why."""
    try:
        process.communicate(f"{until}\n", timeout=max(1.0, until - time.time() + SPARE))
        reason = f"the engine's process ended with {process.returncode}, see {file_of(engine, options).stem}.log"
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        reason = "the engine's process took too long"
    seen = {result.number for result in results_in(file_of(engine, options))}
    for variant in variants_of(engine, options):
        if variant.number not in seen:
            keep(engine, blank(variant, reason), options)


def variants_of(engine: Engine, options: argparse.Namespace) -> list[Variant]:
    return [variant for variant in wanted(options) if variant.engine == engine]


def keep(engine: Engine, result: Result, options: argparse.Namespace) -> None:
    with file_of(engine, options).open("a") as file:
        file.write(json.dumps(asdict(result)) + "\n")


def call_of(words: Sequence[str]) -> str:
    """The options of a command, without the folder and what the parent process adds."""
    given = list(words[2:])
    return " ".join(given[: given.index("--engine")] if "--engine" in given else given)


def results_in(file: Path) -> list[Result]:
    """The last row of each variant."""
    found = [Result(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
    return list({result.number: result for result in found}.values())


def results_of(options: argparse.Namespace) -> list[Result]:
    """Of all calls with this folder, by number. A later call replaces what it measures again."""
    files = sorted((options.out / "sampling").glob("*.jsonl"))
    found = [result for file in files for result in results_in(file)]
    return sorted(found, key=lambda result: (result.number, result.name))


def measure_engine(engine: Engine, options: argparse.Namespace) -> None:
    """Import, wait for a line on stdin, which says until when the GPU is free, and measure the engine's variants."""
    prepare_environment()
    from benchmarks.hysparse.long_rl.sampling_engine import Sampler, Spent, measure, profile, register_policies, start

    register_policies()
    spent = Spent() if engine.connector else None
    if not (line := sys.stdin.readline()):
        return
    begun, results = time.time(), [blank(variant) for variant in variants_of(engine, options)]
    with kept(engine, results, options):
        sampler = Sampler(start(engine, options), options, spent)
    started = time.time() - begun
    for variant, result in zip(variants_of(engine, options), results, strict=True):
        for work in (measure,) if options.no_profile else (measure, profile):
            if not result.note:
                result.start, result.asynchronous = started, sampler.asynchronous
                result.cache, result.groups = sampler.cache, sampler.groups
                with kept(engine, [result], options):
                    work(sampler, variant, result, float(line))


def blank(variant: Variant, note: str = "") -> Result:
    return Result(variant.number, variant.name, call_of(sys.argv), note=note)


@contextmanager
def kept(engine: Engine, results: list[Result], options: argparse.Namespace) -> Iterator[None]:
    """Write what ``results`` hold at the end of a work. An error becomes a note, and does not leave the context."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever one variant raises must not lose the others
        for result in results:
            result.note = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    for result in results:
        if result.note or result.rounds:
            keep(engine, result, options)
    write(options)


def write(options: argparse.Namespace) -> None:
    """Both files, of the variants that have ended."""
    from benchmarks.hysparse.kernels.table import heading
    from benchmarks.hysparse.long_rl.record import versions

    results = results_of(options)
    facts: dict[str, Any] = heading() | versions()
    sizes = {name: str(value) for name, value in vars(options).items()}
    record = facts | {"options": sizes, "results": [asdict(result) for result in results]}
    (options.out / "sampling.json").write_text(json.dumps(record, indent=1) + "\n")
    lines = [*(f"{name}: {value}  " for name, value in facts.items()), "", *table(results)]
    (options.out / "sampling.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
