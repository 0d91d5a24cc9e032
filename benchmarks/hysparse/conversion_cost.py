"""Plan over measured: seconds and GPU memory of a search of full layers and of ten distillation steps.

    python -m benchmarks.hysparse.conversion_cost OUT [--shape 1.7b 0.6b] [--seconds 130]

Models have random weights in the shape of a Qwen3 checkpoint. The product's own commands plan, search and distil.
``OUT/page.md`` is written again after each part, and a second start with the same OUT goes on with the missing parts.
The shapes of ``--plan-only`` are planned and not run.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import random
import re
import shutil
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

PARTS = ("weights", "search", "distillation")
LIMIT = 0.10
# A short run with the heads of the measured shapes. The kernels are compiled then, which no plan counts.
WARM = "warm"


@dataclass(frozen=True)
class Shape:
    """Sizes of a Qwen3 model, and the texts of its runs: tokens of a searched text and of a distilled row."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    width: int
    tied: bool = True
    head_dim: int = 128
    vocabulary: int = 151_936
    length: int = 4096
    row: int = 1024
    options: tuple[str, ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        """Arguments of transformers' Qwen3Config."""
        sizes = {"hidden_size": self.hidden, "num_hidden_layers": self.layers, "intermediate_size": self.width}
        heads = {"num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads, "head_dim": self.head_dim}
        rest = {"vocab_size": self.vocabulary, "tie_word_embeddings": self.tied, "max_position_embeddings": 40_960}
        return {**sizes, **heads, **rest, "dtype": "bfloat16"}


SHORT = ("--select-block", "16", "--select-tokens", "32", "--window", "16")
SHAPES = {
    "tiny": Shape(64, 4, 4, 2, 128, head_dim=16, vocabulary=512, length=128, row=64, options=SHORT),
    "0.6b": Shape(1024, 28, 16, 8, 3072),
    "1.7b": Shape(2048, 28, 16, 8, 6144),
    "8b": Shape(4096, 36, 32, 8, 12_288, tied=False),
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", nargs="+", choices=tuple(SHAPES), default=("1.7b", "0.6b"))
    parser.add_argument("--plan-only", nargs="*", choices=tuple(SHAPES), default=("8b",))
    parser.add_argument("--work", type=Path, help="folder of models, which are removed again (default OUT/work)")
    parser.add_argument("--seconds", type=float, default=130, help="after which no further part begins")
    parser.add_argument("--steps", type=int, default=10, help="steps of the distillation")
    parser.add_argument("--rows", type=int, default=8, help="rows of a distillation step")
    options = parser.parse_args()
    options.work = options.work or options.out / "work"
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    return options


def write_header(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A safetensors file of bf16 tensors without their bytes. The file system stores no block for the hole."""
    header, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


class Run:
    """The parts of one shape, each with a file of figures in OUT."""

    def __init__(self, options: argparse.Namespace, name: str, shape: Shape, steps: int) -> None:
        self.options, self.name, self.shape, self.steps = options, name, shape, steps
        self.source = options.work / name

    def file(self, part: str) -> Path:
        return self.options.out / f"{self.name}-{part}.json"

    def done(self, part: str) -> bool:
        """Whether the part has run. Weights are made again where a further part needs them."""
        if part == "weights":
            return self.source.exists() or all(self.done(other) for other in PARTS[1:])
        return self.file(part).exists()

    def write_weights(self) -> None:
        """Random weights in bf16, with the tiny world's tokenizer and two files of texts."""
        import torch
        from transformers import Qwen3Config, Qwen3ForCausalLM

        begun = time.monotonic()
        torch.manual_seed(1)
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = Qwen3ForCausalLM._from_config(Qwen3Config(**self.shape.fields), dtype=torch.bfloat16)
        scratch = self.source.with_suffix(".part")
        shutil.rmtree(scratch, ignore_errors=True)
        model.save_pretrained(scratch)
        self.write_texts(scratch)
        scratch.replace(self.source)
        self.store("weights", {"seconds": time.monotonic() - begun, "parameters": model.num_parameters()})

    def write_empty(self) -> None:
        """A configuration and texts. A plan reads headers alone, so the file of weights is a header and a hole."""
        import torch
        from transformers import Qwen3Config, Qwen3ForCausalLM

        shutil.rmtree(self.source, ignore_errors=True)
        config = Qwen3Config(**self.shape.fields)
        config.save_pretrained(self.source)
        with torch.device("meta"):
            model = Qwen3ForCausalLM._from_config(config, dtype=torch.bfloat16)
        # A tied head is named once.
        write_header(self.source / "model.safetensors", {n: tuple(p.shape) for n, p in model.named_parameters()})
        self.write_texts(self.source)

    def write_texts(self, folder: Path) -> None:
        """Two long texts for the search, and a text a row for the distillation."""
        from data.jsonl import write_jsonl
        from judgerlvr.hysparse.conversion.derived_files import copy_files
        from judgerlvr.tinyworld.making.checkpoint import base_path

        draw = random.Random(1)
        copy_files(base_path("qwen3"), folder)
        counts = {"search": (2, self.shape.length), "distillation": (5 * self.options.rows, self.shape.row)}
        for name, (count, tokens) in counts.items():
            rows = [{"text": "".join(draw.choices("0123456789+-*=\n", k=2 * tokens))} for _ in range(count)]
            write_jsonl(folder / f"{name}.jsonl", rows)

    def command(self, part: str) -> list[str]:
        """Arguments of the product's command."""
        out = self.options.work / f"{self.name}-{part}"
        shutil.rmtree(out, ignore_errors=True)
        texts = str(self.source / f"{part}.jsonl")
        both = [str(self.source), str(out), *self.shape.options]
        if part == "search":
            return [*both, "--search", texts, "--heldout", "1", "--length", str(self.shape.length)]
        rows = ["--rows", str(self.options.rows), "--heldout", str(self.options.rows), "--length", str(self.shape.row)]
        return [*both, "--texts", texts, *rows, "--steps", str(self.steps), "--every", str(self.steps)]

    def plan(self, part: str) -> str:
        """What the command plans."""
        return self.called(part, [*self.command(part), "--plan"])

    def measure(self, part: str) -> None:
        """Plan, run, and store both outputs."""
        planned = self.plan(part)
        printed = self.called(part, self.command(part))
        self.store(part, {"plan": planned, "run": printed, "command": self.command(part)})

    def called(self, part: str, arguments: list[str]) -> str:
        """What the command prints."""
        from judgerlvr.hysparse.convert import convert
        from judgerlvr.hysparse.distill import distill

        log = self.options.out / f"{self.name}-{part}.txt"
        with log.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            (convert if part == "search" else distill)(arguments)
        return log.read_text(encoding="utf-8")

    def store(self, part: str, figures: dict[str, Any]) -> None:
        self.file(part).write_text(json.dumps(figures) + "\n", encoding="utf-8")


def figures(text: str, line: str) -> tuple[float, float | None]:
    """Seconds, and GiB if there are any, of the line of ``text`` that begins with ``line``."""
    found = next(row for row in text.splitlines() if re.match(line, row))
    seconds, gib = re.search(r"([\d.]+) (s|minutes)\b", found), re.search(r"([\d.]+) GiB", found)
    assert seconds is not None
    scale = 60 if seconds[2] == "minutes" else 1
    return float(seconds[1]) * scale, float(gib[1]) if gib else None


def page(options: argparse.Namespace) -> Iterator[str]:
    """Plan over measured of each shape, then the plans of shapes that are not run."""
    yield "# Search and distillation of random weights: plan over measured\n"
    yield "| shape | part | figure | plan | measured | plan / measured | |\n| --- | --- | --- | --- | --- | --- | --- |"
    for name in options.shape:
        for part in PARTS[1:]:
            file = options.out / f"{name}-{part}.json"
            if not file.exists():
                yield f"| {name} | {part} | not run | | | | |"
                continue
            yield from compared(name, part, json.loads(file.read_text(encoding="utf-8")))
    for name in options.plan_only:
        for file in sorted(options.out.glob(f"{name}-*-plan.txt")):
            yield f"\n{name}, {file.stem.split('-')[1]}, by plan:\n\n```\n{file.read_text(encoding='utf-8')}```"


def compared(name: str, part: str, stored: dict[str, Any]) -> Iterator[str]:
    """Rows of seconds and of memory, and the layers that a search ran."""
    planned = figures(stored["plan"], r"search on one|\d+ steps on one")
    measured = figures(stored["run"], f"{part}: ")
    for figure, ours, theirs in zip(("seconds", "GiB"), planned, measured, strict=True):
        if ours is None or theirs is None:
            yield f"| {name} | {part} | {figure} | {ours} | not measured | | |"
            continue
        ratio = ours / theirs
        met = "within 10 %" if abs(ratio - 1) <= LIMIT else "off"
        yield f"| {name} | {part} | {figure} | {ours:.2f} | {theirs:.2f} | {ratio:.3f} | {met} |"
    ran = re.search(r"layers run: ([\d,]+)", stored["run"])
    if ran:
        from judgerlvr.hysparse.conversion.conversion_plan import expected_runs

        layers = SHAPES[name].layers
        expected, runs = expected_runs(layers) + layers**2, int(ran[1].replace(",", ""))
        yield f"| {name} | {part} | layers run | {expected:.0f} | {runs} | {expected / runs:.3f} | the order of flips |"


def write_page(options: argparse.Namespace) -> str:
    text = "\n".join(page(options)) + "\n"
    (options.out / "page.md").write_text(text, encoding="utf-8")
    return text


def guarded(options: argparse.Namespace, what: str, work: Callable[[], None]) -> bool:
    """Run a part, write the page, and free the GPU. A part that fails leaves its traceback, and others go on."""
    import torch

    begun, failed = time.monotonic(), False
    try:
        work()
    except (Exception, SystemExit):  # noqa: BLE001 - every part that can run shall run
        failed = True
        (options.out / f"{what.replace(' ', '-')}.error").write_text(traceback.format_exc(), encoding="utf-8")
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    print(f"{what}: {time.monotonic() - begun:.1f} s{', failed' if failed else ''}", flush=True)
    write_page(options)
    return not failed


def run_shape(run: Run, until: float) -> None:
    """The parts of a shape that are missing, while there is time. Its models go at the end."""
    for part in PARTS:
        if run.done(part):
            continue
        if time.monotonic() > until:
            print(f"{run.name} {part}: no time left", flush=True)
            continue
        work: Callable[[], None] = run.write_weights if part == "weights" else lambda part=part: run.measure(part)
        guarded(run.options, f"{run.name} {part}", work)
    for path in run.options.work.glob(f"{run.name}*"):
        shutil.rmtree(path, ignore_errors=True)


def write_plans(options: argparse.Namespace, name: str) -> None:
    """Both plans of a shape, as text."""
    run = Run(options, name, SHAPES[name], options.steps)
    run.write_empty()
    for part in PARTS[1:]:
        (options.out / f"{name}-{part}-plan.txt").write_text(run.plan(part), encoding="utf-8")
    shutil.rmtree(run.source)


def main() -> int:
    options = parse_arguments()
    until = time.monotonic() + options.seconds
    small = replace(SHAPES[options.shape[0]], hidden=256, width=256, layers=3, vocabulary=512)
    if not all((options.out / f"{name}-{part}.json").exists() for name in options.shape for part in PARTS[1:]):
        for part in PARTS[1:]:
            (options.out / f"{WARM}-{part}.json").unlink(missing_ok=True)
        run_shape(Run(options, WARM, small, 1), until)
    for name in options.shape:
        run_shape(Run(options, name, SHAPES[name], options.steps), until)
    for name in options.plan_only:
        guarded(options, f"{name} plan", lambda name=name: write_plans(options, name))
    text = write_page(options)
    print(text)
    return int("not run" in text)


if __name__ == "__main__":
    sys.exit(main())
