"""Distillation of a converted model towards its source, on packed texts."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from data.row_files import read_rows
from judgerlvr.hysparse.conversion import adopt, read_model, starting_values, stored_dtype, target_config
from judgerlvr.hysparse.derived_files import copy_files
from judgerlvr.hysparse.modeling import HySparseForCausalLM
from judgerlvr.hysparse.options import Plan
from rewards.errors import InputError, reading

IGNORED = -100  # the label that cross_entropy leaves out
CURVE = "distill.jsonl"


@dataclass(frozen=True)
class Text:
    """Token ids. The first ``context`` tokens are not learnt."""

    ids: Sequence[int]
    context: int = 0


@dataclass(frozen=True)
class Packed:
    """Rows of texts, one text after another, all [rows, length]: token ids, positions that restart, next tokens."""

    ids: Tensor
    positions: Tensor
    labels: Tensor

    def part(self, rows: Tensor) -> Packed:
        """The rows with these numbers."""
        return Packed(self.ids[rows], self.positions[rows], self.labels[rows])


def pack(texts: Sequence[Text], length: int) -> Packed:
    """Fill rows with whole texts in order. A text longer than a row is cut, and the rest of a row is padding."""
    places, row, at = [], 0, 0
    for text in texts:
        size = min(len(text.ids), length)
        if at + size > length:
            row, at = row + 1, 0
        places.append((row, at, size))
        at += size
    ids = torch.zeros(row + 1, length, dtype=torch.long)
    positions, labels = torch.arange(length).repeat(row + 1, 1), torch.full_like(ids, IGNORED)
    for text, (row, at, size) in zip(texts, places, strict=True):
        ids[row, at : at + size] = torch.tensor(text.ids[:size])
        positions[row, at:] = torch.arange(length - at)
        learnt = slice(at + max(text.context, 1), at + size)
        labels[row, learnt.start - 1 : learnt.stop - 1] = ids[row, learnt]
    return Packed(ids, positions, labels)


def read_texts(file: Path, tokenizer: PreTrainedTokenizerBase, length: int) -> list[Text]:
    """Texts of the file. Prints how many exceed ``length``. Raises InputError for a row without a text."""
    texts = []
    for number, row in enumerate(read_rows(file), start=1):
        if not isinstance(row.get("text"), str):
            raise InputError("no text in the row", "put the text to learn there", file, number, "text")
        if not isinstance(row.get("prompt", ""), str):
            raise InputError("not a text", "write the prompt as text, or leave it out", file, number, "prompt")
        context = tokenizer(row.get("prompt", ""), add_special_tokens=False)["input_ids"]
        learnt = tokenizer(row["text"], add_special_tokens=False)["input_ids"]
        texts.append(Text(context + learnt, len(context)))
    cut = sum(len(text.ids) > length for text in texts)
    if cut:
        print(f"{cut} of {len(texts)} texts are longer than {length} tokens and were cut")
    return texts


def next_token_logits(model: PreTrainedModel, batch: Packed) -> Tensor:
    """Float32 logits where a next token exists, [tokens, vocab_size]."""
    logits = model(batch.ids, position_ids=batch.positions, use_cache=False).logits
    return logits[batch.labels != IGNORED].float()


@contextmanager
def layer_outputs(model: PreTrainedModel, watched: bool) -> Iterator[list[Tensor]]:
    """Collect the hidden states [rows, length, hidden_size] of all layers in the forwards made meanwhile, if
    ``watched``.
    """
    kept: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _given, out: kept.append(out[0] if isinstance(out, tuple) else out))
        for layer in (model.model.layers if watched else ())
    ]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def divergence(student: PreTrainedModel, source: PreTrainedModel, batch: Packed, hidden: float = 0.0) -> Tensor:
    """Mean KL divergence of the student's next-token distribution from the source's, in nats a token.

    ``hidden`` times the mean squared distance of the layers from the source's is added, relative to the source's
    square.
    """
    with torch.no_grad(), layer_outputs(source, hidden > 0) as wanted:
        target = next_token_logits(source, batch).log_softmax(-1)
    with layer_outputs(student, hidden > 0) as reached:
        ours = next_token_logits(student, batch).log_softmax(-1)
    loss = F.kl_div(ours, target, reduction="batchmean", log_target=True)
    if not hidden:
        return loss
    learnt = batch.labels != IGNORED
    distances = [
        ((mine[learnt].float() - theirs[learnt].float()).square().sum() / theirs[learnt].float().square().sum())
        for mine, theirs in zip(reached, wanted, strict=True)
    ]
    return loss + hidden * torch.stack(distances).mean()


@torch.no_grad()
def heldout_loss(model: PreTrainedModel, texts: Packed, rows: int) -> float:
    """Cross-entropy in nats a token over all rows."""
    total = 0.0
    for numbers in torch.arange(len(texts.ids)).split(rows):
        batch = texts.part(numbers)
        wanted = batch.labels[batch.labels != IGNORED]
        total += F.cross_entropy(next_token_logits(model, batch), wanted, reduction="sum").item()
    return total / int((texts.labels != IGNORED).sum())


def batches(texts: Packed, plan: Plan) -> Iterator[Packed]:
    """Endless shuffled batches."""
    draw = torch.Generator().manual_seed(plan.seed)
    while True:
        for numbers in torch.randperm(len(texts.ids), generator=draw).split(plan.rows):
            yield texts.part(numbers)


def distil(
    student: PreTrainedModel, source: PreTrainedModel, texts: Packed, heldout: Packed, plan: Plan
) -> Iterator[dict[str, float]]:
    """Train ``student`` in place. Yields tokens seen and held-out losses before, during and after."""
    optimiser = torch.optim.AdamW(student.parameters(), lr=plan.lr, weight_decay=0.0)
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 1.0 / plan.steps, total_iters=plan.steps)
    reference = heldout_loss(source, heldout, plan.rows)
    tokens = 0
    for step, batch in enumerate(batches(texts, plan)):
        if step % plan.every == 0 or step == plan.steps:
            loss = heldout_loss(student, heldout, plan.rows)
            yield {"step": step, "tokens": tokens, "heldout": loss, "source": reference, "ratio": loss / reference}
        if step == plan.steps:
            return
        optimiser.zero_grad()
        divergence(student, source, batch, plan.hidden).backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        decay.step()
        tokens += int((batch.labels != IGNORED).sum())


def run(options: argparse.Namespace) -> None:
    """Convert, distil, save. Raises InputError for a missing model, bad texts and impossible settings."""
    config, device = target_config(options), pick_device(options.device)
    stored = stored_dtype(config)
    texts = read_texts(options.texts, read_tokenizer(options.source), options.length)
    heldout, rest = (on(packed, device) for packed in split_texts(texts, options))
    source = read_model(options.source, torch.float32).to(device)
    weights = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    student = adopt(weights, config, starting_values(options))
    plan = Plan(options.steps, options.rows, options.lr, options.every, options.hidden)
    options.out.mkdir(parents=True)
    with (options.out / CURVE).open("x") as curve:
        for line in distil(student, source, rest, heldout, plan):
            print(*(f"{name} {value:.6g}" for name, value in line.items()), flush=True)
            curve.write(json.dumps(line) + "\n")
            curve.flush()
    store(student, options, stored)


def store(student: HySparseForCausalLM, options: argparse.Namespace, dtype: torch.dtype) -> None:
    """Write the student in the source's dtype beside its curve. Sinks stay float32."""
    for name, parameter in student.named_parameters():
        if "sinks" not in name:
            parameter.data = parameter.data.to(dtype)
    student.config.dtype = dtype
    student.save_pretrained(options.out)
    copy_files(options.source, options.out)


def split_texts(texts: Sequence[Text], options: argparse.Namespace) -> tuple[Packed, Packed]:
    """Held-out and learnt rows. Raises InputError if one of the two has nothing to learn."""
    if len(texts) <= options.heldout:
        raise InputError(f"{len(texts)} texts, all held out", "give more, or a smaller --heldout", options.texts)
    heldout, rest = (pack(part, options.length) for part in (texts[: options.heldout], texts[options.heldout :]))
    if any(bool((part.labels == IGNORED).all()) for part in (heldout, rest)):
        raise InputError(
            "held-out or learnt texts have no token to learn", "give longer texts, or a larger --length", options.texts
        )
    return heldout, rest


def read_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """The source's tokenizer. Raises InputError if the tokenizer is missing or does not load."""
    with reading("transformers cannot load the tokenizer", "add the tokenizer's files", file=directory):
        return AutoTokenizer.from_pretrained(directory, local_files_only=True)


def pick_device(wanted: str | None) -> str:
    """The device, or the one that is there. Raises InputError for a GPU that is not there."""
    found = torch.cuda.device_count()
    device = wanted or ("cuda" if found else "cpu")
    if device != "cpu" and int(device.partition(":")[2] or 0) >= found:
        raise InputError(f"--device {device}: {found} GPUs are visible here", "give another device")
    return device


def on(texts: Packed, device: str) -> Packed:
    """The rows on another device."""
    return Packed(texts.ids.to(device), texts.positions.to(device), texts.labels.to(device))
