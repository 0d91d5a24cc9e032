"""Samples on disk while they are drawn, each one once, so that a killed benchmark goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.jsonl import dump_line, parse_lines
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.samples import Item, Sample
from rewards.errors import InputError

FIELDS = ("response", "prompt_text", "tokens", "thinking_tokens", "finish_reason", "mean_logprob", "seed")
Key = tuple[str, int]


def fingerprint(model_hash: str, items: Sequence[Item], decoding: Decoding) -> str:
    """A digest of all that decides the samples. The number of samples a problem may grow."""
    asked = {**asdict(decoding), "n": None}
    prompts = sorted({json.dumps(item.prompt, ensure_ascii=True) for item in items})
    return hashlib.sha256(json.dumps([model_hash, asked, prompts]).encode()).hexdigest()


class KeptSamples:
    """The samples of one model, task and decoding as JSON lines. The first line is the fingerprint.

    A last line that a death cut short is removed.
    """

    def __init__(self, file: Path, digest: str, items: Sequence[Item]) -> None:
        """Raises InputError where the file holds samples of other settings."""
        self.file = file
        self._items = {item.id: item for item in items}
        self.samples: dict[Key, Sample] = {}
        head = {"fingerprint": digest}
        lines = list(self._read())
        if lines and lines[0] != head:
            remedy = "give another --out, or the settings that the samples were drawn with"
            raise InputError("samples of another model, prompt or decoding", remedy, file=file)
        self._write([head], "w") if not lines else self._write(lines, "w")
        for row in lines[1:]:
            self._take(row)

    def _read(self) -> Iterator[dict[str, Any]]:
        if self.file.is_file():
            with self.file.open(encoding="utf-8", newline="\n") as file:
                yield from parse_lines(file, self.file, torn_last_line=True)

    def _take(self, row: dict[str, Any]) -> None:
        if item := self._items.get(row["id"]):
            self.samples[row["id"], row["index"]] = Sample(item, row["index"], **{name: row[name] for name in FIELDS})

    def missing(self, decoding: Decoding) -> list[Item]:
        """Items of which some of the n samples are not there, in order."""
        return [
            item
            for item in self._items.values()
            if any((item.id, index) not in self.samples for index in range(decoding.n))
        ]

    def add(self, samples: Sequence[Sample]) -> None:
        """Keep the samples that are not there yet."""
        new = [sample for sample in samples if (sample.item.id, sample.index) not in self.samples]
        self._write([_row(sample) for sample in new], "a")
        self.samples |= {(sample.item.id, sample.index): sample for sample in new}

    def all(self, decoding: Decoding) -> list[Sample]:
        """The n samples of each item, item by item."""
        return [self.samples[item, index] for item in self._items for index in range(decoding.n)]

    def _write(self, rows: Sequence[dict[str, Any]], mode: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        target = self.file if mode == "a" else self.file.with_name(f".{self.file.name}")
        with target.open(mode, encoding="utf-8", newline="\n") as file:
            file.writelines(map(dump_line, rows))
            file.flush()
            os.fsync(file.fileno())
        if target != self.file:
            target.replace(self.file)


def _row(sample: Sample) -> dict[str, Any]:
    return {"id": sample.item.id, "index": sample.index, **{name: getattr(sample, name) for name in FIELDS}}
