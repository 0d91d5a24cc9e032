"""Where a checkpoint's policy comes from, read from what its run has stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from judgerlvr.config.documents import load_tree
from rewards.errors import InputError, reading

# vLLM's names beside torch's own.
DTYPES = {"half": "float16", "float": "float32"}


@dataclass(frozen=True)
class Source:
    """A checkpoint's shards, the base that training began with, and the dtype in which rollouts ran."""

    shards: Path
    base: Path
    dtype: torch.dtype
    trust_remote_code: bool


def source_of(checkpoint: Path) -> Source:
    """Read from the run folder's ``verl.yaml``, which holds what verl was given.

    Raises:
        InputError: no checkpoint of a run there, or the base is gone.
    """
    path = checkpoint.parent.parent / "verl.yaml"
    if not path.is_file() or not (checkpoint / "actor").is_dir():
        raise InputError("no checkpoint of a run", "give RUN/checkpoints/global_step_N", file=checkpoint)
    with reading("not the configuration that a run gave to verl", "restore the file", file=path):
        verl = load_tree(path).actor_rollout_ref
        base = Path(verl.model.path)
    if not (base / "config.json").is_file():
        raise InputError("the model that the run began with is gone", "put the model back", file=base)
    with reading("not the configuration that a run gave to verl", "restore the file", file=path):
        options = verl.rollout.get("engine_kwargs", {}).get("vllm", {})
        dtype = rollout_dtype(str(options.get("dtype") or verl.rollout.dtype))
        return Source(checkpoint / "actor", base, dtype, bool(verl.model.trust_remote_code))


def rollout_dtype(name: str) -> torch.dtype:
    """torch's dtype of vLLM's name; ``auto`` is taken for bfloat16."""
    if name == "auto":
        return torch.bfloat16
    found = getattr(torch, DTYPES.get(name, name), None)
    if not isinstance(found, torch.dtype):
        raise InputError(f"rollouts ran in {name!r}, which is no dtype", "set cluster.rollout_engine.dtype")
    return found
