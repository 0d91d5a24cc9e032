"""Host memory of a machine, and bytes that checkpoints take on the disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from judgerlvr.config.schema import Checkpoint, StageSettings
from judgerlvr.planning.activations import update_bytes
from judgerlvr.planning.constants import SAMPLE_TOKEN_BYTES
from judgerlvr.planning.load import Load
from judgerlvr.planning.machine import GIB, Machine
from judgerlvr.planning.memory import ADAM, GRADIENTS, WEIGHTS
from judgerlvr.planning.shapes import ModelShape
from rewards.wording import agreeing, counted

Device = Literal["cpu", "gpu"]
# Bytes a parameter of an export: the dtype in which rollouts run.
EXPORT = {"gpu": 2, "cpu": 4}


@dataclass(frozen=True)
class Storage:
    """``checkpoint_gib`` of a checkpoint, ``kept`` of them at most at once, the checkpoint being written included."""

    host: dict[str, float]
    checkpoint_gib: float
    kept: int

    @property
    def host_gib(self) -> float:
        return sum(self.host.values())

    @property
    def disk_gib(self) -> float:
        return self.checkpoint_gib * self.kept

    def less(self, written: int) -> Storage:
        """What is still to come where ``written`` checkpoints lie on the disk already."""
        return replace(self, kept=max(1, self.kept - written))


def storage(shape: ModelShape, load: Load, settings: StageSettings, device: Device, cache_gib: float = 0.0) -> Storage:
    """Host GiB of the fullest machine and disk GiB of a stage. ``cache_gib``: the KV cache of a CPU's engine."""
    host = host_parts(shape, load) if device == "gpu" else cpu_parts(shape, load, cache_gib)
    kept = checkpoints_kept(settings.checkpoint, settings.stop.steps)
    return Storage(host, checkpoint_bytes(shape, device) / GIB, kept)


def storage_shortfalls(kept: Storage, machine: Machine, host: bool = True) -> list[str]:
    """What does not fit on the disk or, with ``host``, in the host's memory, where both are known."""
    found = []
    if host and machine.host_gib and kept.host_gib > machine.host_gib:
        found.append(f"host memory: {kept.host_gib:.1f} GiB on a machine of {machine.host_gib:.1f}")
    if machine.disk_gib and kept.disk_gib > machine.disk_gib:
        take = agreeing(kept.kept, "takes", "take")
        text = f"{counted(kept.kept, 'checkpoint')} of {kept.checkpoint_gib:.1f} GiB {take} {kept.disk_gib:.1f}"
        found.append(f"disk: {text}, {machine.disk_gib:.1f} GiB are free; lower checkpoint.keep, or set runs")
    return found


def host_parts(shape: ModelShape, load: Load) -> dict[str, float]:
    """GiB by what takes memory. The first rank loads the whole policy in float32, before anything is offloaded."""
    tokens = load.samples * load.longest / load.nodes
    offloaded = (WEIGHTS + ADAM) * shape.parameters * load.gpus_per_node / load.ranks if load.offload else 0
    loading = WEIGHTS * shape.parameters
    return {
        "loading or offload": max(loading, offloaded) / GIB,
        "samples": tokens * SAMPLE_TOKEN_BYTES.value / GIB,
        "replayed choices": _replayed(shape, load) / load.nodes / GIB,
    }


def cpu_parts(shape: ModelShape, load: Load, cache_gib: float) -> dict[str, float]:
    """GiB of host memory of a stage without GPUs: all in float32, and no layer is computed twice."""
    tokens = load.micro_batch * len(shape.layers)
    return {
        "states": (WEIGHTS + GRADIENTS + ADAM) * shape.parameters / GIB,
        "activations": 2 * tokens * update_bytes(shape, fused=False) / GIB,
        "rollout engine": WEIGHTS * shape.parameters / GIB + cache_gib,
        "samples": load.samples * load.longest * SAMPLE_TOKEN_BYTES.value / GIB,
        "replayed choices": _replayed(shape, load) / GIB,
    }


def _replayed(shape: ModelShape, load: Load) -> int:
    """Bytes of the rollout's choices in all samples of a step."""
    return load.samples * shape.replay_bytes(load.longest, load.replay_experts)


def checkpoint_bytes(shape: ModelShape, device: Device) -> int:
    """float32 shards of weights and Adam's moments, and the export for others to load."""
    return (WEIGHTS + ADAM + EXPORT[device]) * shape.parameters


def checkpoints_kept(checkpoint: Checkpoint, steps: int) -> int:
    """Checkpoints on the disk at once: an old checkpoint goes only after the new checkpoint is complete."""
    saved = -(-steps // checkpoint.every) if checkpoint.every > 0 else 1
    return min(saved, checkpoint.keep + 1) if checkpoint.keep else saved
