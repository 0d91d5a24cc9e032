"""Samples on disk while they are drawn: append-only shards. A kill loses only the samples at work."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from data.jsonl import dump_line
from data.typed_rows import field_fault, field_types
from judgerlvr.runs.files import write_atomically
from judgerlvr.sampling.plan import Plan
from judgerlvr.sampling.samples import Item, Sample
from rewards.errors import InputError

PLAN, SHARDS = "plan.json", "shards"
SHARD_BYTES = 256 << 20
REMOVE = "remove the line"
# Fields of a record that name its sample, and fields that describe the sample.
KEY = ("job", "set", "id", "sample")
DESCRIBED = (
    "response",
    "prompt_text",
    "tokens",
    "thinking_tokens",
    "unclosed",
    "finish_reason",
    "stop_reason",
    "mean_logprob",
    "seed",
    "right",
)
FIELDS = {
    **dict.fromkeys(("job", "set", "id", "model"), (str,)),
    "sample": (int,),
    **{name: field_types(Sample)[name] for name in DESCRIBED},
}
Key = tuple[str, str, str, int]


class SampleStore:
    """Records of samples in the shards of a folder, each key once. One process at a time writes.

    The key of a sample is (job, set, id, index). The job is the hash of model, tokenizer and decoding.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self._file: IO[str] | None = None

    @classmethod
    def open(cls, folder: Path, plan: Plan, afresh: bool = False) -> SampleStore:
        """The store of a folder, new or of an earlier attempt. A last line that a death cut short is cut off.

        ``afresh`` empties a folder of another plan instead of refusing.

        Raises:
            InputError: the folder holds samples of another plan, or a shard is damaged.
        """
        store = cls(folder, plan)
        if not afresh:
            store.refuse_others()
        elif store._difference():
            shutil.rmtree(folder / SHARDS, ignore_errors=True)
        (folder / SHARDS).mkdir(parents=True, exist_ok=True)
        write_atomically(folder / PLAN, plan.to_json())
        for shard in store.shards:
            cut_torn_line(shard)
        return store

    def refuse_others(self) -> None:
        """Look at the folder alone. Nothing is written.

        Raises:
            InputError: the folder holds samples of another plan, or of an unknown plan.
        """
        if difference := self._difference():
            remedy = "give another folder, or the settings of the samples that are there"
            raise InputError(f"holds samples of other settings: {difference}", remedy, file=self.folder)

    def _difference(self) -> str:
        stored = read_plan(self.folder)
        if stored is not None:
            return self.plan.difference(stored)
        return f"unknown, without {PLAN}" if self.shards else ""

    @property
    def shards(self) -> list[Path]:
        return sorted((self.folder / SHARDS).glob("*.jsonl"))

    def records(self) -> Iterator[dict[str, Any]]:
        """All records, in the order in which the samples ended.

        Raises:
            InputError: a line is no record of a sample of the plan.
        """
        return (record for _, _, record in self._located())

    def add(self, job: str, samples: Sequence[Sample]) -> None:
        """Append samples of a job. On return the samples are on the disk."""
        if not samples:
            return
        file = self._shard()
        file.writelines(dump_line(self._record(job, sample)) for sample in samples)
        file.flush()
        os.fsync(file.fileno())

    def _record(self, job: str, sample: Sample) -> dict[str, Any]:
        item = sample.item
        named = {"job": job, "set": item.set, "id": item.id, "sample": sample.index}
        return {**named, "model": self.plan.jobs[job]["name"], **{name: getattr(sample, name) for name in DESCRIBED}}

    def _shard(self) -> IO[str]:
        if self._file is not None and self._file.tell() >= SHARD_BYTES:
            self.close()
        if self._file is None:
            shards = self.shards
            last = shards[-1] if shards and shards[-1].stat().st_size < SHARD_BYTES else None
            path = last or self.folder / SHARDS / f"samples-{len(shards) + 1:05d}.jsonl"
            self._file = path.open("a", encoding="utf-8", newline="\n")
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def samples(self, items: Sequence[Item]) -> Iterator[tuple[str, Sample]]:
        """(job, sample) of all records of these items, job by job and in the order of the items.

        The texts stay on the disk until a sample is asked for.

        Raises:
            InputError: a key occurs twice, or a line is no record of a sample of the plan.
        """
        order = {(item.set, item.id): place for place, item in enumerate(items)}
        jobs = {job: place for place, job in enumerate(self.plan.jobs)}
        found: dict[tuple[int, int, int], tuple[Path, int]] = {}
        for shard, offset, record in self._located():
            job, name, item_id, index = key_of(record)
            if (name, item_id) not in order:
                continue
            key = jobs[job], order[name, item_id], index
            if key in found:
                raise InputError(f"sample {index} of {item_id} occurs twice", "remove one of the lines", file=shard)
            found[key] = shard, offset
        files = {shard: shard.open("rb") for shard in self.shards}
        names = list(jobs)
        try:
            for key in sorted(found):
                shard, offset = found[key]
                files[shard].seek(offset)
                yield names[key[0]], sample_of(json.loads(files[shard].readline()), items[key[1]])
        finally:
            for file in files.values():
                file.close()

    def _located(self) -> Iterator[tuple[Path, int, dict[str, Any]]]:
        """(shard, offset in bytes, record) of every line."""
        for shard in self.shards:
            offset = 0
            with shard.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    try:
                        record = json.loads(line)
                    except ValueError as error:
                        raise InputError("broken JSON", REMOVE, file=shard, row=number) from error
                    if found := self._fault(record):
                        raise InputError(found[1], REMOVE, file=shard, row=number, field=found[0] or None)
                    yield shard, offset, record
                    offset += len(line)

    def _fault(self, record: Any) -> tuple[str, str] | None:
        """(field, fault) of what is no record of a sample of the plan. The field is empty for the whole line."""
        if not isinstance(record, Mapping):
            return "", "no JSON object"
        if found := field_fault(record, FIELDS):
            return found
        if record["job"] not in self.plan.jobs:
            return "job", f"no model and decoding of the plan is {record['job']!r}"
        n = self.plan.jobs[record["job"]]["decoding"]["n"]
        return None if 0 <= record["sample"] < n else ("sample", f"{record['sample']}, where {n} are asked for")


def key_of(record: Mapping[str, Any]) -> Key:
    """The key of a record: (job, set, id, index)."""
    return record["job"], record["set"], record["id"], record["sample"]


def sample_of(record: Mapping[str, Any], item: Item) -> Sample:
    """A record as the sample that the record was written from."""
    return Sample(item=item, index=record["sample"], **{name: record[name] for name in DESCRIBED})


def read_plan(folder: Path) -> Plan | None:
    """The plan of a folder, or None where the folder has none.

    Raises:
        InputError: the plan is damaged.
    """
    path = folder / PLAN
    if not path.is_file():
        return None
    try:
        return Plan.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, TypeError) as error:
        raise InputError(f"no plan of samples ({error})", "give another folder", file=path) from error


def cut_torn_line(path: Path) -> None:
    """Cut off a last line without its line end. Whole lines end in a line feed."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end:
            start = max(0, end - (1 << 16))
            file.seek(start)
            place = file.read(end - start).rfind(b"\n")
            if place >= 0:
                end = start + place + 1
                break
            end = start
        if end < size:
            file.truncate(end)
            os.fsync(file.fileno())
