"""Train a deeper base of the tiny world, search its full layers, and hold two plain placements beside the found ones.

This file is one architecture of ``benchmarks.hysparse.second_shape``, which starts it. Each part leaves a file behind,
so a second start goes on with the next part.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data.jsonl import write_jsonl

# Full layers of the goal: one in three of the dense base, and half of the mixture, as with 6 layers.
GOALS = {"qwen3": (3, 1.05), "qwen3_moe": (2, 1.12)}
SETS = ("mixed", "solving", "judging")
DRAWN, DRAW_SEED = 16_000, 301
BLOCK, SELECTED, WINDOW, LENGTH, CONTEXT = 16, 64, 32, 160, 512
TRAINING_SEED = 7


def part_file(out: Path, architecture: str, part: str) -> Path:
    """Where the figures of a part lie. ``part`` is ``base`` or one of ``SETS``."""
    return out / f"{architecture}-{part}.json"


def run(options: argparse.Namespace) -> None:
    """Every part of one architecture that has no file yet, until the seconds are over."""
    until = time.monotonic() + options.seconds
    base = options.work / options.only
    if not part_file(options.out, options.only, "base").exists():
        write_base(options, base)
    files = write_sets(options.work / options.only, options.texts)
    for name in SETS:
        done = part_file(options.out, options.only, name)
        if done.exists():
            continue
        if time.monotonic() > until:
            print(f"{options.only}: no time left for the {name} texts", flush=True)
            return
        store(done, searched(options, base, files[name], name))


def write_base(options: argparse.Namespace, base: Path) -> None:
    """Train and store the base, and what its training came to."""
    from benchmarks.hysparse.deeper_base import make

    begun = time.monotonic()
    limits = {"rows": options.examples, "steps": options.steps, "lr": options.lr, "seed": TRAINING_SEED}
    limits |= {"seconds": options.train_seconds, "workers": options.workers}
    said = make(base, options.only, options.device, **limits)
    store(
        part_file(options.out, options.only, "base"),
        {"said": said, "device": options.device, "seconds": time.monotonic() - begun},
    )


def write_sets(folder: Path, most: int) -> dict[str, Path]:
    """The three sets, each of its first ``most`` texts that the search takes."""
    from transformers import AutoTokenizer

    from judgerlvr.tinyworld.making.checkpoint import base_path
    from judgerlvr.tinyworld.making.trace_texts import texts

    tokenizer = AutoTokenizer.from_pretrained(base_path())
    drawn = list(texts(DRAWN, DRAW_SEED, tokenizer))
    solves = [row for row in drawn if "user\nSolve" in row["prompt"]]
    judges = [row for row in drawn if "user\nSolve" not in row["prompt"]]
    found = {}
    for name, rows in zip(SETS, (drawn, solves, judges), strict=True):
        found[name] = folder / f"{name}.jsonl"
        write_jsonl(found[name], kept(rows, most, tokenizer))
    return found


def kept(rows: Sequence[dict[str, str]], most: int, tokenizer: Any) -> list[dict[str, str]]:
    """The first ``most`` texts that the search takes."""
    long = (row for row in rows if len(tokenizer(row["prompt"] + row["text"])["input_ids"]) > SELECTED + WINDOW)
    return [row for row, _ in zip(long, range(most), strict=False)]


def searched(options: argparse.Namespace, base: Path, texts: Path, name: str) -> dict[str, Any]:
    """The command's own search, and the plain placements on the same texts."""
    from judgerlvr.hysparse.conversion.search import CURVE
    from judgerlvr.hysparse.convert import convert

    begun = time.monotonic()
    out = options.work / f"{options.only}-{name}-{time.time_ns()}"
    arguments = [str(base), str(out), "--search", str(texts), *options_of_search(options)]
    log = options.out / f"{options.only}-{name}.txt"
    with log.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        convert(arguments)
    curve = [json.loads(line) for line in (out / CURVE).read_text(encoding="utf-8").splitlines()]
    print(f"{options.only}, {name}: {time.monotonic() - begun:.1f} s of search", flush=True)
    beside = plain_placements(base, arguments, len(curve))
    return {"curve": curve, "plain": beside, "command": arguments, "seconds": time.monotonic() - begun}


def options_of_search(options: argparse.Namespace) -> list[str]:
    """The search's options but the texts, with the goal's number of full layers."""
    shape = ["--select-block", str(BLOCK), "--select-tokens", str(SELECTED), "--window", str(WINDOW)]
    texts = ["--length", str(LENGTH), "--context", str(CONTEXT), "--heldout", str(options.heldout)]
    return [*shape, *texts, "--rows", str(options.rows), "--device", options.device]


def plain_placements(base: Path, arguments: list[str], layers: int) -> dict[str, dict[str, float]]:
    """Held-out loss over the source's, by kind of placement and number of full layers.

    ``first`` is the layers at the beginning, and ``even`` is the layers at equal distances.
    """
    from judgerlvr.hysparse.conversion.placements import batches_of, learnt_tokens, loss_of
    from judgerlvr.hysparse.model.layout import with_full

    stack, held = stack_and_texts(base, arguments)
    batches = batches_of(held, int(arguments[arguments.index("--rows") + 1]))
    source = loss_of(stack, with_full(layers, range(layers)), batches)
    found: dict[str, dict[str, float]] = {"first": {}, "even": {}}
    for kind, full in plain(layers):
        found[kind][str(len(full))] = loss_of(stack, with_full(layers, full), batches) / source
    return {**found, "heldout": {"loss": source, "tokens": learnt_tokens(batches), "rows": len(held.ids)}}


def plain(layers: int) -> Iterator[tuple[str, list[int]]]:
    """Kinds and full layers of the placements that need no search."""
    for count in range(1, layers):
        yield "first", list(range(count))
        yield "even", [number * layers // count for number in range(count)]


def stack_and_texts(base: Path, arguments: list[str]) -> tuple[Any, Any]:
    """The search's own stack of layers and its held-out rows, by the search's own readers."""
    from judgerlvr.hysparse.conversion.conversion import config_from, read_model, read_source
    from judgerlvr.hysparse.conversion.options import InitialValues
    from judgerlvr.hysparse.conversion.placements import Stack
    from judgerlvr.hysparse.conversion.search import usable
    from judgerlvr.hysparse.conversion.source_tokenizer import read_tokenizer
    from judgerlvr.hysparse.conversion.texts import on, pack, read_texts

    given = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    changes = {"select_block": BLOCK, "select_tokens": SELECTED, "sliding_window": WINDOW}
    texts = read_texts(Path(given["--search"]), read_tokenizer(base), LENGTH)
    config = config_from(read_source(base), **changes)
    held, _ = usable(texts, config, int(given["--heldout"]), Path(given["--search"]))
    source = read_model(base, "auto").to(given["--device"])
    return Stack(source, InitialValues(), **changes), on(pack(held, LENGTH), given["--device"])


def store(file: Path, figures: dict[str, Any]) -> None:
    """The figures of a part, whole or not at all."""
    scratch = file.with_suffix(".part")
    scratch.write_text(json.dumps(figures) + "\n", encoding="utf-8")
    scratch.replace(file)
