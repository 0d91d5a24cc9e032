"""Store a trained model's selection over a long held-out text, for the kernel benchmark.

For each context, `--indices` of `benchmarks.hysparse.kernels.run` takes the first tokens of a file and repeats its KV
heads. A shorter text would select the same, so the file of the longest context serves all contexts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.hysparse.kernels.index_files import write_small
from benchmarks.hysparse.kernels.indices import jaccard
from benchmarks.hysparse.recall.models import embedded, heldout_rows
from benchmarks.hysparse.recall.task import Task
from judgerlvr.hysparse.model.attention import FullAttention
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.ops.selection import Selection


@contextmanager
def selecting(model: HySparseForCausalLM, selection: Selection) -> Iterator[None]:
    """Full layers choose by ``selection`` in place of the model's own."""
    layers = [m for m in model.modules() if isinstance(m, FullAttention) and m.selects]
    before = [layer.selection for layer in layers]
    for layer in layers:
        layer.selection = selection
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.selection = own


def long_text(model: HySparseForCausalLM, task: Task, context: int) -> Tensor:
    """Embedded rows of the task, row after row as a single sequence [1, context, hidden_size]."""
    rows = heldout_rows(task, -(-context // task.length), 1)[0]
    return embedded(model, rows).flatten(0, 1)[None, :context]


@torch.no_grad()
def save_indices(
    model: HySparseForCausalLM, task: Task, options: argparse.Namespace, device: str, seconds: float
) -> None:
    """Write OUT/indices-CONTEXT.pt of the last selecting layer, and OUT/recall-CONTEXT.zip with its first heads.

    A context that fails is reported and left out. ``seconds`` of training are told in the files.
    """
    told = {"training seconds": seconds, "model": "recall"}
    selection = Selection(options.block, options.count)
    for context in options.contexts:
        try:
            with (
                selecting(model, selection),
                torch.autocast(device, torch.bfloat16, enabled=device == "cuda"),
            ):
                output = model.model(inputs_embeds=long_text(model, task, context), use_cache=False, output_blocks=True)
        except (RuntimeError, ValueError) as error:
            print(f"indices of {context} tokens: {' '.join(str(error).split())[:300]}", flush=True)
            continue
        indices = output.used_blocks[-1].cpu()
        file = options.out / f"indices-{context}.pt"
        # 16 bits number the blocks of two million tokens in half the bytes.
        torch.save({"indices": indices.to(torch.int16), "block": options.block, "told": told}, file)
        write_small(options.out / f"recall-{context}.zip", indices, options.block, told)
        print(f"{file}: {list(indices.shape)}, Jaccard {jaccard(indices, options.block):.2f}", flush=True)
