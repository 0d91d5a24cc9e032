"""Train `small` HySparse on Python sources for some minutes, and store its selections for the kernel benchmark.

    python -m benchmarks.hysparse.language OUT_DIR [--seconds 150] [--overlap 1] [--moments 30 60 90]

The cost of kernels over selected blocks depends on how much neighbouring queries agree, and only a trained model can
tell. The text is present in every Python installation: the sources of the standard library and of the packages, as
bytes. One file in twenty is held out. OUT_DIR/hysparse-language.json holds the held-out loss by position in the row.
OUT_DIR/indices-CONTEXT.pt holds the blocks chosen by all selecting layers over a text of held-out files, with their KV
heads side by side and the layers in turn, for `--indices` of `benchmarks.hysparse.kernels.run`.
OUT_DIR/language-CONTEXT.zip holds the first of these heads for the longest context, small enough to commit.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sysconfig
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.hysparse.kernels.case import DEVICE
from benchmarks.hysparse.kernels.index_files import alternating, write_small
from benchmarks.hysparse.kernels.indices import jaccard
from benchmarks.hysparse.kernels.overlap import overlap
from benchmarks.hysparse.kernels.table import heading
from benchmarks.hysparse.overlap_loss import OverlapLoss
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.model.presets import LONG_ROPE, preset

HELD_OUT = 20  # one file in so many
END = 0  # byte between files


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=150, help="seconds of training")
    parser.add_argument("--length", type=int, default=16_384, help="bytes of a row")
    parser.add_argument("--rows", type=int, default=2, help="rows of a step")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--bytes", type=int, default=200_000_000, help="bytes of text at most")
    parser.add_argument(
        "--contexts", type=int, nargs="*", default=[32_768, 65_536, 131_072], help="contexts of stored indices"
    )
    parser.add_argument(
        "--moments",
        type=float,
        nargs="*",
        default=[],
        help="seconds of training after which choices are stored; the first step compiles",
    )
    parser.add_argument("--overlap", type=float, default=0.0, help="weight of the loss of overlap_loss.py")
    parser.add_argument("--pairs", type=int, default=128, help="neighbouring queries of that loss, a layer and row")
    parser.add_argument("--layers", type=int, default=13)
    parser.add_argument("--hidden", type=int, default=768)
    options = parser.parse_args(arguments)
    crowded = preset("small").select_tokens
    if not 0 < options.seconds < math.inf:
        parser.error(f"--seconds {options.seconds} is no time; give seconds above 0")
    if late := [moment for moment in options.moments if not 0 <= moment < options.seconds]:
        parser.error(f"--moments {late[0]} lies outside the {options.seconds} seconds of training")
    if options.overlap and options.length <= crowded + 1:
        parser.error(f"--overlap needs crowded queries; give a --length above {crowded + 1}")
    return options


def texts(most: int) -> tuple[np.ndarray, np.ndarray]:
    """Bytes to train on and held-out bytes: whole files, shuffled in an order that their names give."""
    paths = sysconfig.get_paths()
    files = {file for name in ("stdlib", "purelib") for file in Path(paths[name]).rglob("*.py")}
    parts: tuple[list[bytes], list[bytes]] = ([], [])
    left = most
    for mark, file in sorted((zlib.crc32(str(file).encode()), file) for file in files):
        if left <= 0:
            break
        content = file.read_bytes()
        left -= len(content)
        parts[mark % HELD_OUT == 0].append(content + bytes([END]))
    train, heldout = (np.frombuffer(b"".join(part), dtype=np.uint8) for part in parts)
    return train, heldout


def rows_of(text: np.ndarray, length: int, rows: int, seed: int) -> Iterator[Tensor]:
    """Endless batches [rows, length + 1] of random places."""
    draw = np.random.default_rng(seed)
    while True:
        begins = draw.integers(0, len(text) - length - 1, rows)
        yield torch.from_numpy(np.stack([text[begin : begin + length + 1] for begin in begins])).long().to(DEVICE)


def losses(model: HySparseForCausalLM, rows: Tensor) -> Tensor:
    """Nats a byte [rows, length]."""
    with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
        logits = model(rows[:, :-1], use_cache=False).logits
    return functional.cross_entropy(logits.float().transpose(1, 2), rows[:, 1:], reduction="none")


@torch.no_grad()
def by_position(model: HySparseForCausalLM, text: np.ndarray, options: argparse.Namespace) -> dict[str, float]:
    """Mean held-out loss of the first 1,024 bytes of rows, of the next bytes to 4,096, and of the rest."""
    rows = rows_of(text, options.length, options.rows, seed=1)
    mean = torch.stack([losses(model, next(rows)).mean(0) for _ in range(4)]).mean(0)
    edges = [0, *(edge for edge in (1024, 4096) if edge < options.length), options.length]
    return {f"{low}-{high}": mean[low:high].mean().item() for low, high in itertools.pairwise(edges)}


class Clock:
    """Seconds of training, without what ``paused`` works took."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.begun

    @contextmanager
    def paused(self) -> Iterator[None]:
        since = time.perf_counter()
        yield
        self.begun += time.perf_counter() - since


def train(
    model: HySparseForCausalLM, text: np.ndarray, heldout: np.ndarray, options: argparse.Namespace
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Adam with a rate that falls to a tenth when the time is up. Evaluates every tenth of the time.

    Returns the curve of held-out losses, and the records of the choices at --moments.
    """
    optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1, fused=DEVICE == "cuda")
    curve, stored, left = list[dict[str, Any]](), list[dict[str, Any]](), sorted(options.moments)
    alike = OverlapLoss(model, options.pairs) if options.overlap else None
    clock, due = Clock(), 0.0
    for step, rows in enumerate(rows_of(text, options.length, options.rows, seed=0)):
        past = clock.seconds / options.seconds
        if left and clock.seconds >= left[0]:
            with clock.paused():
                told = {"training seconds": clock.seconds, "training steps": step}
                stored += store_small(model, heldout, options, told, f"-{left.pop(0):.0f}")
        if past >= due or past >= 1:
            curve.append({"step": step, "tokens": step * rows[:, 1:].numel(), **by_position(model, heldout, options)})
            print(curve[-1], flush=True)
            due = past + 0.1
        if past >= 1:
            return curve, stored
        for group in optimiser.param_groups:
            group["lr"] = options.lr * min(1.0, (step + 1) / 50) * (1 - 0.9 * past)
        optimiser.zero_grad()
        loss = losses(model, rows).mean()
        (loss + options.overlap * alike.take() if alike else loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    raise AssertionError("batches are endless")


@torch.no_grad()
def choose(model: HySparseForCausalLM, text: np.ndarray, context: int) -> Tensor:
    """Blocks chosen over the first ``context`` bytes, int16 [layers, 1, kv_heads, context, count]."""
    rows = torch.from_numpy(text[:context].copy()).long().to(DEVICE)[None]
    with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
        chosen = model.model(rows, use_cache=False, output_blocks=True).used_blocks
    # 16 bits number the blocks of two million tokens.
    return chosen.to(torch.int16).cpu()


def store_small(
    model: HySparseForCausalLM, text: np.ndarray, options: argparse.Namespace, told: dict[str, Any], ending: str = ""
) -> list[dict[str, Any]]:
    """Write a small file of choices over held-out bytes for each context. ``told`` says how far the model is trained.

    Returns the overlap of neighbouring queries by context: of each layer, and of the heads that the file holds.
    """
    block, records = model.config.select_block, []
    told = {"model": "language", "weight of overlap": options.overlap, **told}
    for context in sorted(options.contexts):
        chosen = choose(model, text, context)
        path, indices = options.out / f"language-{context}{ending}.zip", alternating(chosen)
        heads = write_small(path, indices, block, told)
        alike, union = overlap(indices[:, :heads], block)
        records.append(
            {
                "context": context,
                "file": path.name,
                **told,
                "heads": heads,
                "jaccard": alike,
                "union of 16 queries": union,
                "jaccard of layers": [jaccard(layer, block) for layer in chosen],
            }
        )
        print(records[-1], flush=True)
    return records


def store_whole(model: HySparseForCausalLM, text: np.ndarray, options: argparse.Namespace) -> None:
    """Write all heads of the choices over held-out bytes for each context."""
    told = {"training seconds": options.seconds, "model": "language"}
    for context in options.contexts:
        indices, block = alternating(choose(model, text, context)), model.config.select_block
        torch.save({"indices": indices, "block": block, "told": told}, options.out / f"indices-{context}.pt")


def main() -> int:
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    text, heldout = texts(options.bytes)
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": options.layers, "hidden_size": options.hidden, "vocab_size": 256}
    model = HySparseForCausalLM(preset("small", **sizes, rope_parameters=LONG_ROPE, qk_norm=True)).to(DEVICE)
    print(f"{model.num_parameters() / 1e6:.1f} M parameters, {len(text) / 1e6:.0f} MB of text", flush=True)
    record: dict[str, Any] = {**heading(), "options": {name: str(value) for name, value in vars(options).items()}}
    record |= {"parameters": model.num_parameters(), "bytes": [len(text), len(heldout)]}
    record["curve"], record["moments"] = train(model, text, heldout, options)
    # Rows begin at random places, so a place is read as often as this on average.
    record["passes over the text"] = record["curve"][-1]["tokens"] / len(text)
    told = {"training seconds": options.seconds, "training steps": record["curve"][-1]["step"]}
    record["indices"] = store_small(model, heldout, options, told)
    store_whole(model, heldout, options)
    (options.out / "hysparse-language.json").write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
