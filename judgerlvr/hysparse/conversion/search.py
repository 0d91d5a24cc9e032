"""Search for the full layers of a conversion: texts that can tell placements apart, the curve, and the choice."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from judgerlvr.hysparse.conversion.conversion import pick_device, read_model, starting_values, stored_dtype
from judgerlvr.hysparse.conversion.divergence import check_loss
from judgerlvr.hysparse.conversion.model_limits import check_texts
from judgerlvr.hysparse.conversion.options import COSTS, DEVICE, SEARCHING, given
from judgerlvr.hysparse.conversion.placements import Stack, batches_of, greedy, loss_of
from judgerlvr.hysparse.conversion.source_tokenizer import read_tokenizer
from judgerlvr.hysparse.conversion.spent import spending
from judgerlvr.hysparse.conversion.texts import Packed, Text, hold_out, on, pack, read_texts
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.layout import FULL, letters, with_full
from judgerlvr.hysparse.model.sizes import MIB, arrangements
from rewards.errors import InputError
from rewards.wording import counted

CURVE = "placements.jsonl"
LEAST_CROWDED = 0.5


@dataclass(frozen=True)
class Point:
    """A placement: its full layers, its KV cache in bytes, and its losses over the source's."""

    full_layers: list[int]
    kv_bytes: int
    searched: float
    heldout: float


@dataclass(frozen=True)
class Found:
    """The configuration of the chosen placement, the whole curve, and the loaded source."""

    config: HySparseConfig
    curve: list[Point]
    source: PreTrainedModel


def check_asked(options: argparse.Namespace) -> None:
    """Raise InputError for options that this command would not read."""
    searching, planning = options.search is not None, options.plan
    unread = [] if searching else [(flag, "give --search TEXTS too") for flag in given(options, SEARCHING)]
    if not searching and not planning:
        unread += [(flag, "give --plan or --search TEXTS too") for flag in given(options, COSTS)]
    if planning and options.device is not None:
        unread += [(DEVICE.flag, "give it to the search, because --plan counts a GPU")]
    for flag, remedy in unread:
        raise InputError(f"nothing reads {flag} here", f"leave it out, or {remedy}")


def check_count(options: argparse.Namespace, layers: int) -> None:
    """Raise InputError for more full layers than the source has layers."""
    if options.full_count is not None and options.full_count > layers:
        raise InputError(f"--full-count is {options.full_count}", f"the source has {layers} layers")


def crowded_share(texts: Sequence[Text], select_tokens: int) -> float:
    """Share of the learnt tokens whose query sees more blocks than are selected."""
    learnt = crowded = 0
    for text in texts:
        first, end = max(text.context, 1) - 1, len(text.ids) - 1
        learnt += max(0, end - first)
        crowded += max(0, end - max(first, select_tokens))
    return crowded / learnt if learnt else 0.0


def usable(texts: Sequence[Text], config: HySparseConfig, heldout: int, file: Path) -> tuple[list[Text], list[Text]]:
    """Held-out texts and other texts for the search.

    Raises InputError if too few texts are longer than selection and window together, or if under half of the learnt
    tokens of either part see more blocks than are selected.
    """
    least = config.select_tokens + (config.sliding_window or 0)
    long = [text for text in texts if len(text.ids) > least]
    held, searched = hold_out(long, heldout)
    remedy = "give more long texts, a larger --length, or smaller --select-tokens and --window"
    if not searched:
        all_of_them = counted(len(texts), "text")
        problem = f"longer than {least} tokens: {len(long)} of {all_of_them}, and {heldout} of these held out"
        raise InputError(problem, remedy, file=file)
    for name, part in (("held-out", held), ("searched", searched)):
        share = crowded_share(part, config.select_tokens)
        if share < LEAST_CROWDED:
            problem = f"{share:.0%} of the learnt {name} tokens see more blocks than are selected, under half"
            raise InputError(problem, remedy, file=file)
    return held, searched


def read_parts(options: argparse.Namespace, config: HySparseConfig) -> tuple[list[Text], list[Text]]:
    """Held-out texts and other texts of ``--search``.

    Raises InputError as ``read_tokenizer``, ``read_texts``, ``check_texts`` and ``usable``.
    """
    texts = read_texts(options.search, read_tokenizer(options.source), options.length)
    check_texts(texts, config, options.search, options.source)
    return usable(texts, config, options.heldout, options.search)


def find(options: argparse.Namespace, config: HySparseConfig) -> Found:
    """Measure the curve, print it, and choose ``--full-count`` full layers, or as many as ``config`` has.

    Raises InputError as ``usable`` and for a source that does not load. Texts are checked before the source is loaded.
    """
    device = pick_device(options.device)
    parts = read_parts(options, config)
    held, searched = (on(pack(part, options.length), device) for part in parts)
    source = read_model(options.source, stored_dtype(config)).to(device)
    changes = {name: getattr(config, name) for name in ("select_block", "select_tokens", "sliding_window")}
    stack = Stack(source, starting_values(options), **changes)
    with spending("search", device):
        points = curve(stack, searched, held, config, options)
    print(f"layers run: {stack.runs:,}")
    show(points, [crowded_share(part, config.select_tokens) for part in parts], options)
    wanted = options.full_count or len(config.full_layers)
    chosen = next(point for point in points if len(point.full_layers) == wanted)
    return Found(placed(config, chosen.full_layers), points, source)


def curve(
    stack: Stack, searched: Packed, held: Packed, config: HySparseConfig, options: argparse.Namespace
) -> list[Point]:
    """A point for each number of full layers, from all to 1.

    Raises InputError as ``check_loss``, for example for a source whose activations overflow.
    """
    seen, unseen = (batches_of(part, options.rows) for part in (searched, held))
    sources: list[float] = []
    points = []
    for kinds, loss in greedy(stack, seen):
        losses = (loss, loss_of(stack, kinds, unseen))
        who = f"layers {letters(kinds)}" if sources else "the source"
        for name, found in zip(("searched", "held-out"), losses, strict=True):
            check_loss(found, f"{name} loss of {who}", options.source)
        if not sources:
            sources.extend(losses)
            print(f"source: {loss:.4f} nats a searched token, {losses[1]:.4f} a held-out token", flush=True)
        full = [layer for layer, kind in enumerate(kinds) if kind == FULL]
        costs = arrangements(placed(config, full), options.context, options.batch)["HySparse"]
        ratios = [found / source for found, source in zip(losses, sources, strict=True)]
        points.append(Point(full, costs.kv_bytes, *ratios))
    return points


def placed(config: HySparseConfig, full: Sequence[int]) -> HySparseConfig:
    """The configuration with other full layers."""
    fields = config.to_dict()
    fields["layer_types"] = with_full(config.num_hidden_layers, full)
    return HySparseConfig.from_dict(fields)


def show(points: Sequence[Point], crowded: Sequence[float], options: argparse.Namespace) -> None:
    """Print the curve."""
    print(f"crowded tokens: {crowded[1]:.0%} of the searched, {crowded[0]:.0%} of the held-out")
    print(f"loss over the source's, without training; KV of {options.batch} x {options.context} tokens in bf16")
    print(f"{'full':>4}{'KV MiB':>12}{'searched':>10}{'held-out':>10}  full layers")
    for point in points:
        numbers = ",".join(map(str, point.full_layers))
        losses = f"{point.searched:10.3f}{point.heldout:10.3f}"
        print(f"{len(point.full_layers):4}{point.kv_bytes / MIB:12,.1f}{losses}  {numbers}")


def write_curve(points: Sequence[Point], out: Path) -> None:
    """The curve as JSON lines in the converted model's folder."""
    lines = [json.dumps(vars(point)) for point in points]
    (out / CURVE).write_text("\n".join(lines) + "\n", encoding="utf-8")
