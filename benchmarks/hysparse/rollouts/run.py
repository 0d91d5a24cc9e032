"""Rollouts in vLLM: HySparse beside its full-attention twin, with the same memory for the KV cache.

    python -m benchmarks.hysparse.rollouts.run OUT_DIR [--seconds 420]

Weights are made up. Hidden size, feed-forward block and vocabulary are small, so that the benchmark measures attention
and cache. Shares and speeds are not those of a whole model. Decoding starts from caches of noise, with as many requests
as the cache holds together with their output. A cell gives the time of a step from the host (planning overlaps unless
--synchronous), the time of its kernels on the GPU, and the share of attention by the profiler. It also gives the time
of one prompt from arrival to first token, with a real prefill. The selection under made-up weights is scattered.

All processes import at once and then take the GPU in turn. OUT_DIR/hysparse-rollouts.json and .md hold the cells.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.hysparse.kernels.table import heading
from benchmarks.hysparse.rollouts.engine import LAYOUTS, TWINS, Cell, line, run

COLUMNS = (
    "shape | model | context | fit | ran | steps | ms a step | tokens/s | GPU ms a step | attention's share | "
    "prefill, s | note"
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=420, help="for all")
    parser.add_argument("--cells", nargs="+", default=["*"], help="patterns of SHAPE/MODEL/CONTEXT, as 36/hysparse/*")
    parser.add_argument("--contexts", type=int, nargs="+", default=[4096, 16384, 32768, 65536])
    parser.add_argument("--output", type=int, default=512, help="tokens of a response")
    parser.add_argument("--steps", type=int, default=64, help="timed, of a cell")
    parser.add_argument("--requests", type=int, default=512, help="that may run at once")
    parser.add_argument("--batched", type=int, default=8192, help="tokens of a step")
    parser.add_argument("--kv-gib", type=float, default=48)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--ffn", type=int, default=2048)
    parser.add_argument("--vocab", type=int, default=32768)
    parser.add_argument("--dim", type=int, default=128, help="dimension of a head")
    parser.add_argument("--layers", type=int, help="fewer than the shape's")
    parser.add_argument("--compile", action="store_true", help="torch.compile too, which takes minutes")
    parser.add_argument(
        "--synchronous",
        dest="asynchronous",
        action="store_false",
        help="no step is planned while another runs, as in training, where steps return indices",
    )
    parser.add_argument("--engine", help="SHAPE/MODEL that this process measures")
    return parser.parse_args()


def wanted(shape: str, model: str, arguments: argparse.Namespace) -> list[int]:
    """Contexts of one engine."""
    cells = {context: f"{shape}/{model}/{context}" for context in arguments.contexts}
    return [context for context, name in cells.items() if any(fnmatch(name, cell) for cell in arguments.cells)]


def record_of(shape: str, model: str, arguments: argparse.Namespace) -> Path:
    folder: Path = arguments.out
    return folder / f"rollouts-{shape}-{model}.jsonl"


def main() -> int:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.engine:
        shape, model = arguments.engine.split("/")
        run(shape, model, wanted(shape, model, arguments), arguments, record_of(shape, model, arguments))
        return 0
    end = time.time() + arguments.seconds
    engines = [(shape, model) for shape in LAYOUTS for model in TWINS if wanted(shape, model, arguments)]
    print(f"| {COLUMNS} |", flush=True)
    processes = [begin(shape, model, arguments) for shape, model in engines]
    for number, (engine, process) in enumerate(zip(engines, processes, strict=True)):
        until = time.time() + (end - time.time()) / (len(engines) - number)
        finish(engine, process, until, arguments)
        write(engines[: number + 1], arguments)
    return 0


def begin(shape: str, model: str, arguments: argparse.Namespace) -> subprocess.Popen[str]:
    record_of(shape, model, arguments).unlink(missing_ok=True)
    command = [sys.executable, *sys.argv, "--engine", f"{shape}/{model}"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=dict(os.environ))


def finish(
    engine: tuple[str, str], process: subprocess.Popen[str], until: float, arguments: argparse.Namespace
) -> None:
    """Let a process have the GPU. Cells that the process did not reach say why."""
    shape, model = engine
    try:
        process.communicate(f"{until}\n", timeout=max(30.0, until - time.time() + 60))
        reason = f"the engine's process ended with {process.returncode}"
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        reason = "the engine's process took too long"
    seen = {cell.context for cell in cells_of(engine, arguments)}
    with record_of(shape, model, arguments).open("a") as file:
        for context in wanted(shape, model, arguments):
            if context not in seen:
                file.write(json.dumps(vars(Cell(shape, model, context, note=reason))) + "\n")


def cells_of(engine: tuple[str, str], arguments: argparse.Namespace) -> list[Cell]:
    record = record_of(*engine, arguments)
    return [Cell(**json.loads(row)) for row in record.read_text().splitlines()] if record.exists() else []


def write(engines: list[tuple[str, str]], arguments: argparse.Namespace) -> None:
    cells = [cell for engine in engines for cell in cells_of(engine, arguments)]
    sizes = {
        name: getattr(arguments, name)
        for name in ("kv_gib", "hidden", "ffn", "vocab", "dim", "batched", "layers", "asynchronous")
    }
    head = heading() | {"sizes": ", ".join(f"{name} {value}" for name, value in sizes.items() if value is not None)}
    text = json.dumps(head | {"cells": [vars(cell) for cell in cells]}, indent=1)
    (arguments.out / "hysparse-rollouts.json").write_text(text + "\n")
    lines = [f"{name}: {value}  " for name, value in head.items()]
    lines += ["", f"| {COLUMNS} |", "|" + " --- |" * (COLUMNS.count("|") + 1), *(line(cell) for cell in cells)]
    (arguments.out / "hysparse-rollouts.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
