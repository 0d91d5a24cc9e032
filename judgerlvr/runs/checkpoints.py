"""Checkpoints: sealed once complete, loadable by others as they lie, and found again after a crash."""

from __future__ import annotations

import filecmp
import inspect
import json
import re
import shutil
from pathlib import Path
from typing import Any

from judgerlvr.runs.files import write_atomically

SEAL = "COMPLETE.json"
STEP = re.compile(r"global_step_(\d+)")


def export_dir(checkpoint: Path) -> Path:
    """The transformers directory inside a checkpoint."""
    return checkpoint / "actor" / "huggingface"


def complete(checkpoints: Path) -> list[Path]:
    """Sealed checkpoints, oldest first; half-written ones are never among them."""
    found = [path for path in checkpoints.glob("global_step_*") if (path / SEAL).is_file()]
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    match = STEP.fullmatch(checkpoint.name)
    assert match, checkpoint
    return int(match.group(1))


def read_seal(checkpoint: Path) -> dict[str, Any]:
    return json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))


def match_dtype(export: Path) -> None:
    """Make config.json name the dtype that the tensors have.

    verl writes fp32 tensors under the base model's bfloat16 config, so that a plain ``from_pretrained`` rounds.
    """
    from safetensors import safe_open

    with safe_open(str(next(export.glob("*.safetensors"))), framework="pt") as tensors:
        dtype = str(tensors.get_tensor(next(iter(tensors.keys()))).dtype).removeprefix("torch.")
    path = export / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    config["dtype"] = dtype
    write_atomically(path, json.dumps(config, indent=2) + "\n")


def remove_wrapper_code(export: Path) -> None:
    """Remove torch's own source files from an export.

    verl saves the module of a policy's class if its configuration has an auto_map; the class of a sharded policy is
    FSDP2's wrapper. The policy's own code, saved by transformers, stays.
    """
    from torch.distributed.fsdp import FSDPModule

    wrapper = Path(inspect.getfile(FSDPModule.reshard)).parent  # the class gives another module for its own
    for copy in export.glob("*.py"):
        original = wrapper / copy.name
        if original.is_file() and filecmp.cmp(copy, original, shallow=False):
            copy.unlink()


def prune(checkpoints: Path, keep: int) -> None:
    """Remove all but the newest ``keep`` sealed checkpoints; called only after a save has been sealed."""
    for path in complete(checkpoints)[:-keep] if keep else []:
        (path / SEAL).unlink()
        shutil.rmtree(path)
