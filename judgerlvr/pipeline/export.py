"""An exported policy: checked against the trainer's own numbers, then published under a stable name."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from judgerlvr.runs.checkpoints import export_dir
from rewards.errors import CommandFailed, InputError

FP32_TOLERANCE = 1e-5
# Under bf16 a single token may be routed to another expert: 0.06 was seen of a faithful export. A lost expert of
# the tiny base moves one by 2.8; damage below these limits is found in fp32 only.
LOW_PRECISION_TOLERANCE = 1.0
LOW_PRECISION_MEAN = 1e-2


class ExportMismatch(CommandFailed):
    """The reloaded export computes other log-probabilities than the trainer did."""


def check_export(checkpoint: Path, trust_remote_code: bool = False) -> float:
    """Reload a checkpoint's export with transformers and compare it with the trainer.

    Returns the largest absolute difference of a token's log-probability over the probe responses that the trainer
    scored when it saved.

    Raises:
        ExportMismatch: above 1e-5 in fp32; in lower precision above 1, or above 1e-2 in the mean.
    """
    import torch
    from transformers import AutoModelForCausalLM

    import judgerlvr.hysparse.registration  # noqa: F401  (registers the model type)

    export = export_dir(checkpoint)
    probes = json.loads((checkpoint / "probe.json").read_text(encoding="utf-8"))
    model = AutoModelForCausalLM.from_pretrained(export, trust_remote_code=trust_remote_code).eval()
    with torch.no_grad():
        differences = torch.cat([_difference(model, probe) for probe in probes["samples"]])
    exact = probes["precision"] == "fp32"
    limits = (FP32_TOLERANCE, FP32_TOLERANCE) if exact else (LOW_PRECISION_TOLERANCE, LOW_PRECISION_MEAN)
    found = differences.max().item(), differences.mean().item()
    if not all(value <= limit for value, limit in zip(found, limits, strict=True)):
        text = "log-probabilities differ by {:.2e} at most, {:.2e} in the mean".format(*found)
        raise ExportMismatch(f"{export}: {text} from the trainer's (limits {limits[0]:g}, {limits[1]:g})")
    return found[0]


def _difference(model: Any, probe: dict[str, Sequence[Any]]) -> Any:
    """Absolute difference at each response token, a float tensor (tokens,)."""
    import torch

    ids = torch.tensor([[*probe["prompt_ids"], *probe["response_ids"]]])
    logits = model(input_ids=ids).logits[0, len(probe["prompt_ids"]) - 1 : -1].float()
    response = torch.tensor(probe["response_ids"])
    log_probs = logits.log_softmax(-1).gather(-1, response[:, None])[:, 0]
    return (log_probs - torch.tensor(probe["log_probs"])).abs()


def check_link(link: Path, run_dir: Path | None) -> None:
    """Refuse to take over a name that is not this run's own; ``run_dir`` is None for a run that has none yet.

    Raises:
        InputError: ``link`` exists and is a file, a directory, or a link into another run.
    """
    if not link.is_symlink() and not link.exists():
        return
    if run_dir and link.is_symlink() and run_dir.resolve() in Path(os.path.realpath(link)).parents:
        return
    raise InputError("exists and is not this run's export", "give another --out, or remove it", file=link)


def publish(link: Path, export: Path) -> None:
    """Point ``link`` at ``export`` in one step: a reader sees the old target or the new one."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(export.resolve(), link.parent.resolve()))
    temporary.replace(link)
