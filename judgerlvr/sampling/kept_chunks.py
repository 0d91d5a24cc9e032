"""Candidates on disk while they are sampled, so that a death costs the chunk at work and no more."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from judgerlvr.runs.metrics import log_progress
from judgerlvr.sampling.decoding import Decoding
from rewards.types import Problem

KEPT = "candidates.partial.jsonl"
Row = dict[str, Any]


@dataclass(frozen=True)
class Keep:
    """Where chunks are kept. ``problems`` is the number of problems in a chunk, and ``run_dir`` gets the progress."""

    file: Path
    problems: int
    run_dir: Path


def fingerprint(models: Sequence[Path], problems: Sequence[Problem], template: str, decoding: Decoding) -> str:
    """A digest of everything that decides the samples. Weights count by name, size and time of change."""
    weights = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for model in models
        for path in sorted(model.resolve().glob("*.safetensors"))
    ]
    asked = [(problem.id, problem.text, problem.gold) for problem in problems]
    return hashlib.sha256(json.dumps([weights, asked, template, asdict(decoding)]).encode()).hexdigest()


class KeptChunks:
    """Whole chunks of rows in a file of JSON lines. The first line is the fingerprint.

    A last line that a death cut short is dropped. A file of another fingerprint is begun afresh.
    """

    def __init__(self, keep: Keep, digest: str) -> None:
        self.keep = keep
        self.head = {"fingerprint": digest, "problems": keep.problems}
        lines = self._read()
        self.chunks: dict[str, list[Row]] = {line["chunk"]: line["rows"] for line in lines[1:]}
        if not lines:
            self._begin()

    def _read(self) -> list[Any]:
        if not self.keep.file.is_file():
            return []
        lines = []
        for text in self.keep.file.read_text(encoding="utf-8").split("\n"):
            try:
                lines += [json.loads(text)] if text else []
            except json.JSONDecodeError:
                break
        if not lines or lines[0] != self.head:
            return []
        self._write("".join(json.dumps(line) + "\n" for line in lines), "w")
        return lines

    def _begin(self) -> None:
        self.keep.file.parent.mkdir(parents=True, exist_ok=True)
        self._write(json.dumps(self.head) + "\n", "w")

    def add(self, name: str, rows: list[Row]) -> None:
        """Keep the rows of a chunk."""
        self.chunks[name] = rows
        self._write(json.dumps({"chunk": name, "rows": rows}) + "\n", "a")

    def _write(self, text: str, mode: str) -> None:
        with self.keep.file.open(mode, encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def tell(self, done: int, of: int) -> None:
        """A line of progress."""
        log_progress(self.keep.run_dir, f"  candidates: {done} of {of} chunks")
