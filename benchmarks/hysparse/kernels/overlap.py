"""How much the choices of neighbouring queries overlap: Jaccard of neighbours, and the union of 16 queries.

    python -m benchmarks.hysparse.kernels.overlap OUT_DIR --model DIR --texts problems.jsonl [--contexts 16384 32768]
    python -m benchmarks.hysparse.kernels.overlap OUT_DIR --indices language-131072.zip recall-131072.zip

The first form runs a HySparse checkpoint over prompts. OUT_DIR/NAME-TOKENS.zip holds its choices over the longest
prompt, for `--indices` of `benchmarks.hysparse.kernels.candidates`. The second form reads files of choices.
OUT_DIR/overlap-NAME.json holds both numbers by context, over the last 2,048 queries of a context. Without --contexts,
the longest text is the context.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer

from benchmarks.hysparse.kernels.case import DEVICE
from benchmarks.hysparse.kernels.index_files import alternating, description, read, write_small
from benchmarks.hysparse.kernels.indices import jaccard
from data.jsonl import read_jsonl
from data.prompts import as_chat
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.ops.segments import whole
from judgerlvr.hysparse.ops.triton.union_tiles import mean_union, union_tiles
from judgerlvr.models.prompt_tokens import encode_prompt
from rewards.errors import InputError

TAIL, WIDTH = 2048, 16  # queries


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, help="a directory of a HySparse checkpoint")
    parser.add_argument("--texts", type=Path, help="a file of JSON lines")
    parser.add_argument("--field", default="problem", help="of the texts")
    parser.add_argument("--rows", type=int, default=8, help="texts at most, the first of the file")
    parser.add_argument("--indices", type=Path, nargs="*", default=[], help="files of choices, .zip or .pt")
    parser.add_argument("--contexts", type=int, nargs="+", default=[], help="tokens")
    parser.add_argument("--name", default="model", help="of the files that are written")
    parser.add_argument("--training-seconds", type=float, help="of the model, for the record")
    options = parser.parse_args(arguments)
    if (options.model is None) != (options.texts is None) or (options.model is None) == (not options.indices):
        parser.error("give --model with --texts, or --indices")
    if options.model and not (options.model / "config.json").is_file():
        parser.error(f"--model {options.model} has no config.json")
    if options.texts and not options.texts.is_file():
        parser.error(f"--texts {options.texts} is no file")
    if (options.out / f"overlap-{options.name}.json").exists():
        parser.error(f"{options.out}/overlap-{options.name}.json exists; give another --name or folder")
    return options


def overlap(indices: Tensor, block: int) -> tuple[float, float]:
    """Jaccard of neighbours, and blocks of a union of 16 queries, over the last 2,048 queries of [1, heads, tokens,
    count]. An incomplete tile of queries at the front is left out of the union.
    """
    tail = indices[:, :, -TAIL:].int()
    tiles = tail[:, :, tail.shape[2] % WIDTH :] if tail.shape[2] >= WIDTH else tail
    # Starts count for the key axis. The tail may name any block of the text.
    segments = whole(1, indices.shape[2] + block, device=indices.device)
    segments = type(segments)(segments.starts[:, : tiles.shape[2]], indices.shape[2] + block - tiles.shape[2])
    return jaccard(tail, block), mean_union(union_tiles(tiles, segments, block, WIDTH))


def rows_by_context(sets: list[Tensor], block: int, contexts: list[int]) -> list[dict[str, Any]]:
    """Means over the sets [1, heads, tokens, count] that are as long as a context."""
    found = []
    for context in contexts or [max(indices.shape[2] for indices in sets)]:
        pairs = [overlap(indices[:, :, :context], block) for indices in sets if indices.shape[2] >= context]
        row: dict[str, Any] = {"context": context, "texts": len(pairs)}
        if pairs:
            row |= {"jaccard": mean([pair[0] for pair in pairs]), "union of 16 queries": mean([p[1] for p in pairs])}
        found.append(row)
    return found


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def texts_of(options: argparse.Namespace) -> list[str]:
    """The first texts of the file. InputError names a row without a text."""
    texts = []
    for number, row in enumerate(islice(read_jsonl(options.texts), options.rows), start=1):
        text = row.get(options.field)
        if not isinstance(text, str):
            raise InputError(
                f"no text in {options.field!r}", "name its field by --field", file=options.texts, row=number
            )
        texts.append(text)
    if not texts:
        raise InputError("no row", "write a text a line", file=options.texts)
    return texts


@torch.no_grad()
def choices_of(model: HySparseForCausalLM, ids: list[int]) -> Tensor:
    """Choices int16 [layers, 1, kv_heads, tokens, count] over a prompt."""
    with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
        chosen = model.model(torch.tensor([ids], device=DEVICE), use_cache=False, output_blocks=True).used_blocks
    return chosen.to(torch.int16).cpu()


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """The numbers of a checkpoint. Writes its choices over the longest text."""
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    prompts = [encode_prompt(tokenizer, as_chat(text)) for text in texts_of(options)]
    # As in training: weights in float32, and products in bfloat16 on a GPU.
    model = HySparseForCausalLM.from_pretrained(options.model, dtype=torch.float32).to(DEVICE).eval()
    if not model.config.selecting_layers:
        raise InputError("no layer selects blocks", "give a HySparse checkpoint", file=options.model)
    block, sets = model.config.select_block, [alternating(choices_of(model, prompt)) for prompt in prompts]
    longest = max(sets, key=lambda indices: indices.shape[2])
    told = {"training seconds": options.training_seconds, "model": options.name}
    path = options.out / f"{options.name}-{longest.shape[2]}.zip"
    write_small(path, longest, block, told)
    return {"tokens": [len(prompt) for prompt in prompts], **entry(path, sets, block, options.contexts)}


def entry(path: Path, sets: list[Tensor], block: int, contexts: list[int]) -> dict[str, Any]:
    """Numbers by context, with the file of the choices."""
    return {
        "file": description(path),
        "block": block,
        "count": sets[0].shape[3],
        "by context": rows_by_context(sets, block, contexts),
    }


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        if options.model:
            records = [measured(options)]
        else:
            files = [(path, *read(path)) for path in options.indices]
            records = [entry(path, [indices], about["block"], options.contexts) for path, indices, about in files]
    except (InputError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for record in records:
        print(json.dumps(record), flush=True)
    (options.out / f"overlap-{options.name}.json").write_text(json.dumps(records, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
