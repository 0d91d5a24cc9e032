"""Texts for distillation and search: token ids with a part that is not learnt, packed into rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from data.importing.whole_texts import HALF_PAIR, is_whole
from data.jsonl import Row
from data.row_files import read_rows
from rewards.errors import InputError
from rewards.wording import counted

IGNORED = -100  # the label that cross_entropy leaves out
# Problem and remedy of a field that holds no text.
TEXT_FIELDS = {
    "text": ("no text in the row", "put the text to learn there"),
    "prompt": ("not a text", "write the prompt as text, or leave it out"),
}


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
    """Fill rows with whole texts in order. A text longer than a row is cut, and the rest of a row is padding.

    Rows are no longer than all texts together, whatever ``length`` asks for.
    """
    length = min(length, max(1, sum(len(text.ids) for text in texts)))
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
    """Texts of the file, cut to ``length`` tokens. Prints how many were cut, and how many are blank and left out.

    All checks of texts see what is computed later, and no more. Raises InputError for a row without a text, and for a
    file of blank texts.
    """
    texts, cut, rows = [], 0, read_rows(file)
    for number, row in enumerate(rows, start=1):
        context, learnt = (_ids(row, name, tokenizer, file, number) for name in ("prompt", "text"))
        if not learnt:
            continue
        cut += len(context) + len(learnt) > length
        texts.append(Text((context + learnt)[:length], min(len(context), length)))
    if blank := len(rows) - len(texts):
        print(f"{blank} of {counted(len(rows), 'text')} blank, left out")
    if not texts:
        raise InputError("every text is blank", "give texts to learn", file, field="text")
    if cut:
        print(f"{cut} of {counted(len(texts), 'text')} longer than {length} tokens, cut there")
    return texts


def _ids(row: Row, name: str, tokenizer: PreTrainedTokenizerBase, file: Path, number: int) -> list[int]:
    """Token ids of a field. A prompt may be missing or null.

    Raises InputError for a field that is no text, for half of a surrogate pair, and for visible characters that the
    tokenizer turns into nothing.
    """
    value = row.get(name)
    if name == "prompt" and value is None:
        return []
    if not isinstance(value, str):
        problem, remedy = TEXT_FIELDS[name]
        raise InputError(problem, remedy, file, number, name)
    if not is_whole(value):
        raise InputError(*HALF_PAIR, file, number, name)
    ids: list[int] = tokenizer(value, add_special_tokens=False)["input_ids"]
    if not ids and value.strip():
        raise InputError("the tokenizer makes no token of it", "add the tokenizer's files", file, number, name)
    return ids


def hold_out(texts: Sequence[Text], heldout: int) -> tuple[list[Text], list[Text]]:
    """The first ``heldout`` texts, and those of the others that repeat none of them."""
    held = list(texts[:heldout])
    known = {tuple(text.ids) for text in held}
    return held, [text for text in texts[heldout:] if tuple(text.ids) not in known]


def split_texts(texts: Sequence[Text], heldout: int, length: int, file: Path) -> tuple[Packed, Packed]:
    """Held-out and learnt rows. A text that repeats a held-out text is not learnt.

    Raises InputError if one of the two parts has nothing to learn.
    """
    parts = hold_out(texts, heldout)
    if repeated := len(texts) - sum(map(len, parts)):
        print(f"{repeated} of {counted(len(texts), 'text')} repeat held-out texts, not learnt")
    if not parts[1]:
        raise InputError(f"{counted(len(texts), 'text')}, all held out", "give more, or a smaller --heldout", file)
    held, rest = (pack(part, length) for part in parts)
    if any(bool((part.labels == IGNORED).all()) for part in (held, rest)):
        raise InputError(
            "held-out or learnt texts have no token to learn", "give longer texts, or a larger --length", file
        )
    return held, rest


def on(texts: Packed, device: str) -> Packed:
    """The rows on another device."""
    return Packed(texts.ids.to(device), texts.positions.to(device), texts.labels.to(device))
