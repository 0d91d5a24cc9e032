"""Everything that decides samples, as a fingerprint that refuses to resume under other settings."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.typed_rows import Types, field_fault
from judgerlvr.models.identity import model_hash, tokenizer_hash
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.samples import Item, Sample
from rewards.errors import InputError
from rewards.wording import counted

DIGITS = 16
# Arguments of vllm.LLM that decide how much runs at once, and not what is sampled.
CAPACITY = (
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "gpu_memory_utilization",
    "max_num_seqs",
    "max_num_batched_tokens",
    "distributed_executor_backend",
)


# The types of a stored plan and of each of its jobs.
STORED: Types = {"jobs": (dict,), "problems": (str,), "prompts": (str,), "rounds": (dict,), "engine": (dict,)}
STORED_JOB: Types = {"name": (str,), "model": (str,), "tokenizer": (str,), "decoding": (dict,)}


@dataclass(frozen=True)
class Job:
    """A model directory and the settings to sample from the model with. ``name`` stands in every record."""

    model: Path
    decoding: Decoding
    name: str


@dataclass(frozen=True)
class Rounds:
    """Samples in rounds of a fixed size. A problem of one job ends after a round that leaves both classes seen.

    ``grade`` says of each sample whether its response is right. ``grader`` names the grader in the plan.
    """

    size: int
    grade: Callable[[Sequence[Sample]], list[bool]]
    grader: str = ""


@dataclass(frozen=True)
class Plan:
    """The fingerprint of a folder of samples, as plain data. ``jobs`` are by key, in order."""

    jobs: dict[str, dict[str, Any]]
    problems: str
    prompts: str
    rounds: dict[str, Any]
    engine: dict[str, Any]

    @classmethod
    def of(
        cls, items: Sequence[Item], jobs: Sequence[Job], rounds: Rounds | None, engine: Mapping[str, Any] | None = None
    ) -> Plan:
        """The plan of these items and jobs. Reads the weights of every model once.

        Raises:
            InputError: a job or an item is given twice.
        """
        keyed = _keyed(jobs)
        asked = sorted((item.set, item.id, item.prompt) for item in items)
        if twice := [key for key, count in Counter((item.set, item.id) for item in items).items() if count > 1]:
            raise InputError(f"{twice[0][1]} of {twice[0][0]} is asked twice", "leave one of the two out")
        return cls(
            jobs=keyed,
            problems=_digest([key[:2] for key in asked]),
            prompts=_digest(asked),
            rounds={"size": rounds.size, "grader": rounds.grader} if rounds else {},
            engine={name: value for name, value in sorted((engine or {}).items()) if name not in CAPACITY},
        )

    def difference(self, stored: Plan) -> str:
        """One line about the first thing in which a stored plan differs. Empty where nothing differs."""
        for place, (old, new) in enumerate(zip(stored.jobs.values(), self.jobs.values(), strict=False), start=1):
            if line := _job_difference(old, new):
                return f"model {place}: {line}"
        if len(stored.jobs) != len(self.jobs):
            return f"{counted(len(stored.jobs), 'pair')} of model and decoding before, now {len(self.jobs)}"
        for name in ("problems", "prompts", "rounds", "engine"):
            old, new = getattr(stored, name), getattr(self, name)
            if old != new:
                return f"the {name} changed" + (f" from {old} to {new}" if isinstance(old, dict) else "")
        return ""

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan of ``to_json``.

        Raises:
            ValueError: the text is no JSON.
            TypeError: the text is no plan.
        """
        values = json.loads(text)
        _check_stored(values, STORED)
        for job in values["jobs"].values():
            _check_stored(job, STORED_JOB)
        return cls(**values)


def _check_stored(values: Any, types: Types) -> None:
    if not isinstance(values, Mapping):
        raise TypeError("no JSON object")
    if found := field_fault(values, types):
        raise TypeError(": ".join(found))


def _keyed(jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    keyed: dict[str, dict[str, Any]] = {}
    for job in jobs:
        weights, tokenizer = model_hash(job.model), tokenizer_hash(job.model)
        decoding = asdict(job.decoding)
        key = _digest([weights, tokenizer, decoding])
        if key in keyed:
            text = f"{keyed[key]['name']} and {job.name} are one model with one decoding"
            raise InputError(text, "leave one of the two out", file=job.model)
        keyed[key] = {"name": job.name, "model": weights, "tokenizer": tokenizer, "decoding": decoding}
    return keyed


def _job_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if old["model"] != new["model"]:
        return f"the weights changed (hash {old['model'][:DIGITS]} of {old['name']}, now {new['model'][:DIGITS]})"
    if old["tokenizer"] != new["tokenizer"]:
        return f"the tokenizer or chat template of {old['name']} changed"
    for name, value in new["decoding"].items():
        if old["decoding"].get(name) != value:
            return f"{name} changed from {old['decoding'].get(name)} to {value}"
    return "" if old["name"] == new["name"] else f"the name changed from {old['name']} to {new['name']}"


def _digest(value: Any) -> str:
    content = json.dumps(value, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:DIGITS]
