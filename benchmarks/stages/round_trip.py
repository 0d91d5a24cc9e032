"""A run's checkpoint through the product's engine on other numbers of ranks and back, compared bit by bit.

    python -m benchmarks.stages.round_trip CHECKPOINT/actor POLICY OUT [--ranks 1 2]

Each number of ranks loads what the ranks before it saved, and saves. The last number is that of CHECKPOINT. Each rank
is one process, with a GPU of its own where there are GPUs. OUT/round-trip.json gets bytes, seconds and differences.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.hysparse.kernels.table import heading
from judgerlvr.export.shards import load_ranks, local_tensor, saved_ranks

BUDGET = 1024  # tokens of a pass, of which there is none


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkpoint", type=Path, help="the checkpoint's folder of shards")
    parser.add_argument("policy", type=Path, help="the weights that the run began with")
    parser.add_argument("out", type=Path)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    return parser.parse_args()


def through(rank: int, world: int, port: int, policy: Path, source: Path, target: Path) -> None:
    """One of ``world`` ranks: the product's engine loads ``source`` and saves ``target``."""
    from judgerlvr.cluster.environment import environment

    gpu = torch.cuda.is_available()
    names = {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()} | environment("gpu" if gpu else "cpu", 1.0))
    from judgerlvr.engine.devices import TRAINING

    os.environ["VERL_ENGINE_VENDOR"] = TRAINING
    if gpu:
        torch.cuda.set_device(rank)
    else:
        from judgerlvr.engine.on_cpu import plugin  # noqa: F401  (verl's platform)
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
    from benchmarks.stages.engine_speed.measure import make_engine

    engine = make_engine(policy, BUDGET)
    engine.load_checkpoint(str(source))
    engine.save_checkpoint(str(target))
    torch.distributed.destroy_process_group()


def carry(ranks: int, policy: Path, source: Path, target: Path) -> float:
    """Seconds that ``ranks`` processes took, with their start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    torch.multiprocessing.spawn(through, (ranks, port, policy, source, target), ranks)
    return time.monotonic() - started


def tensors(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each tensor of nested dictionaries and lists under its path, and each other value."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from tensors(part, f"{name}/{key}")
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from tensors(part, f"{name}/{number}")
    else:
        yield name, value


def same(one: Any, other: Any) -> bool:
    """Whether both hold the same bits, laid over ranks in the same way."""
    if not isinstance(one, torch.Tensor):
        return bool(one == other)
    mine, yours = local_tensor(one).contiguous(), local_tensor(other).contiguous()
    if (mine.dtype, mine.shape) != (yours.dtype, yours.shape):
        return False
    # NaN differs from itself. Its bits do not.
    return torch.equal(mine.flatten().view(torch.uint8), yours.flatten().view(torch.uint8))


def compare(one: Path, other: Path) -> dict[str, Any]:
    """Values and bytes compared, and the names of those that differ, of each rank's weights and optimiser."""
    found: dict[str, Any] = {"tensors": 0, "bytes": 0, "differ": []}
    for kind in ("model", "optim"):
        for rank, (mine, yours) in enumerate(zip(load_ranks(one, kind), load_ranks(other, kind), strict=True)):
            ours, theirs = dict(tensors(mine)), dict(tensors(yours))
            found["differ"] += [f"{kind} {rank} {name}" for name in ours.keys() ^ theirs.keys()]
            for name in ours.keys() & theirs.keys():
                if isinstance(ours[name], torch.Tensor):
                    found["tensors"] += 1
                    found["bytes"] += local_tensor(ours[name]).nbytes
                if not same(ours[name], theirs[name]):
                    found["differ"].append(f"{kind} {rank} {name}")
    schedules = [load_ranks(folder, "extra_state")[0]["lr_scheduler"] for folder in (one, other)]
    found["schedule equal"] = schedules[0] == schedules[1]
    return found


def main() -> int:
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    source, seconds = options.checkpoint.absolute(), {}
    row: dict[str, Any] = dict(heading()) | {"checkpoint ranks": saved_ranks(source), "ranks": options.ranks}
    for number, ranks in enumerate(options.ranks):
        target = (options.out / f"{number}-ranks-{ranks}").absolute()
        seconds[f"{number}-ranks-{ranks}"] = round(carry(ranks, options.policy.absolute(), source, target), 1)
        source = target
    row |= {"seconds": seconds} | compare(options.checkpoint, source)
    (options.out / "round-trip.json").write_text(json.dumps(row, indent=1) + "\n")
    print(json.dumps(row))
    return 1 if row["differ"] or not row["schedule equal"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
