"""The search of full layers on a second trained shape: 12 layers, dense and mixture of experts, three sets of texts.

    python -m benchmarks.hysparse.second_shape OUT [--seconds 140]

Both bases are trained and searched at the same time, a process each. ``OUT/page.md`` has the loss against the bytes of
the KV cache, with the first layers full and with full layers at equal distances beside the found placement. The page is
written again after each part. A second start with the same OUT goes on with the parts that are missing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.hysparse.deeper_search import GOALS, SETS, part_file, run

# Seconds between two looks at the processes.
POLL = 2.0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--work", type=Path, help="folder of models and texts (default OUT/work)")
    parser.add_argument("--seconds", type=float, default=140, help="of the whole command")
    parser.add_argument("--train-seconds", type=float, default=60, help="of the training of a base")
    parser.add_argument("--steps", type=int, default=5000, help="most steps of the training")
    parser.add_argument("--examples", type=int, default=192, help="examples a step of the training")
    parser.add_argument("--lr", type=float, default=5e-4, help="of the training")
    parser.add_argument("--workers", type=int, default=5, help="processes that draw texts, a base")
    parser.add_argument("--heldout", type=int, default=200, help="held-out texts of a set")
    parser.add_argument("--texts", type=int, default=600, help="texts of a set, the held-out texts among them")
    parser.add_argument("--rows", type=int, default=128, help="packed rows a pass of the search")
    parser.add_argument("--architectures", nargs="*", choices=tuple(GOALS), default=tuple(GOALS))
    parser.add_argument("--only", choices=tuple(GOALS), help=argparse.SUPPRESS)
    parser.add_argument("--device", help="default: cuda if any")
    parser.add_argument("--kernels", action="store_true", help="search with the Triton kernels, which compile first")
    options = parser.parse_args()
    options.work = options.work or options.out / "work"
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    return options


def start(options: argparse.Namespace, architecture: str) -> subprocess.Popen[bytes]:
    """The process of one architecture. Its output goes to a file in OUT."""
    command = [sys.executable, "-m", "benchmarks.hysparse.second_shape", *sys.argv[1:], "--only", architecture]
    environment = dict(os.environ)
    # Texts have 160 tokens, so the reference is enough. It has nothing to compile.
    if not options.kernels:
        environment["JUDGERLVR_HYSPARSE_BACKEND"] = "reference"
    with (options.out / f"{architecture}.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)


def watch(options: argparse.Namespace, processes: list[subprocess.Popen[bytes]]) -> None:
    """Write the page until all processes have ended. After ``--seconds`` they are ended."""
    until = time.monotonic() + options.seconds
    while any(process.poll() is None for process in processes):
        if time.monotonic() > until:
            for process in processes:
                process.terminate()
        time.sleep(POLL)
        write_page(options.out)


def write_page(out: Path) -> str:
    """The page of all parts so far."""
    text = "\n".join(page(out)) + "\n"
    (out / "page.md").write_text(text, encoding="utf-8")
    return text


def page(out: Path) -> Iterator[str]:
    """Lines of the page: goals, then the curve of each base and set."""
    yield "# Search of full layers on 12 layers"
    for architecture, (part, goal) in GOALS.items():
        base = read(part_file(out, architecture, "base"))
        if base is None:
            yield f"\n{architecture}: not trained"
            continue
        yield f"\n## {architecture}\n\nTraining on {base['device']}: {base['said']}, {base['seconds']:.0f} s.\n"
        found = {name: read(part_file(out, architecture, name)) for name in SETS}
        yield from goals(found, part, goal)
        for name, figures in found.items():
            if figures is not None:
                yield from curve(name, figures)


def goals(found: dict[str, Any], part: int, goal: float) -> Iterator[str]:
    """Loss at the goal's number of full layers, for each set."""
    yield f"Held-out loss over the source's with one in {part} layers full. The goal is {goal}.\n"
    yield "| texts | searched | first layers | even | goal |\n| --- | --- | --- | --- | --- |"
    for name, figures in found.items():
        if figures is None:
            yield f"| {name} | not run | | | |"
            continue
        count = len(figures["curve"]) // part
        (point,) = (point for point in figures["curve"] if len(point["full_layers"]) == count)
        plain = [f"{figures['plain'][kind][str(count)]:.3f}" for kind in ("first", "even")]
        met = "met" if point["heldout"] <= goal else "missed"
        yield f"| {name} | {point['heldout']:.3f} | {plain[0]} | {plain[1]} | {met} |"


def curve(name: str, figures: dict[str, Any]) -> Iterator[str]:
    """Loss against bytes of the KV cache on one set."""
    held = figures["plain"]["heldout"]
    size = f"{held['rows']} held-out rows, {held['tokens']} learnt tokens, {held['loss']:.4f} nats a token"
    yield f"\n### {name}: {size}, {figures['seconds']:.0f} s\n"
    yield "| full | KV KiB | searched texts | held-out | first layers | even | full layers |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for point in figures["curve"]:
        full = point["full_layers"]
        plain = [figures["plain"][kind].get(str(len(full)), 1.0) for kind in ("first", "even")]
        losses = " | ".join(f"{loss:.3f}" for loss in (point["searched"], point["heldout"], *plain))
        yield f"| {len(full)} | {point['kv_bytes'] / 1024:,.0f} | {losses} | {','.join(map(str, full))} |"


def read(file: Path) -> Any:
    """The figures of a part. None if the part has not run."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def main() -> int:
    options = parse_arguments()
    if options.only:
        from judgerlvr.hysparse.conversion.conversion import pick_device

        options.device = pick_device(options.device)
        run(options)
        return 0
    processes = [start(options, architecture) for architecture in options.architectures]
    watch(options, processes)
    print(write_page(options.out))
    return max(process.returncode != 0 for process in processes)


if __name__ == "__main__":
    sys.exit(main())
