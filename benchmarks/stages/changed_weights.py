"""Weights that change from the policy to the first checkpoint of a run, and from each checkpoint to the next.

    python -m benchmarks.stages.changed_weights RUN

The run must keep its checkpoints (``checkpoint.keep=0``). Checkpoints hold fp32 weights, and none is rounded here. The
policy is compared in the tensors that have one name in both. The experts of a mixture have other names in a checkpoint.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from judgerlvr.export.shards import Shards, local_tensor
from judgerlvr.export.tensors import Tensors
from judgerlvr.runs.checkpoints import complete, step_of
from judgerlvr.runs.manifest import read_manifest
from judgerlvr.runs.stage import CHECKPOINTS


def shares(run: Path) -> Iterator[tuple[str, float, int]]:
    """(from and to, share of the weights that differ, weights compared) of each step that has a checkpoint."""
    checkpoints = complete(run / CHECKPOINTS)
    policy = Path(read_manifest(run).parent.path)
    if checkpoints and policy.is_dir():
        yield "policy to step " + str(step_of(checkpoints[0])), *share(_with_policy(policy, checkpoints[0]))
    for before, after in pairwise(checkpoints):
        yield f"step {step_of(before)} to {step_of(after)}", *share(_of_checkpoints(before, after))


def share(pairs: Iterator[tuple[Tensor, Tensor]]) -> tuple[float, int]:
    """Share of the elements that differ, and how many were compared. NaN without any."""
    differing = compared = 0
    for left, right in pairs:
        differing += int(torch.count_nonzero(left != right))
        compared += left.numel()
    return (differing / compared if compared else float("nan")), compared


def _of_checkpoints(before: Path, after: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Each rank's own part of each tensor. Both checkpoints are of as many ranks."""
    old, new = Shards(before / "actor"), Shards(after / "actor")
    for name in new.names:
        yield from zip(map(local_tensor, old.values(name)), map(local_tensor, new.values(name)), strict=True)


def _with_policy(policy: Path, checkpoint: Path) -> Iterator[tuple[Tensor, Tensor]]:
    stored, shards = Tensors(policy), Shards(checkpoint / "actor")
    for name in shards.names:
        if name in stored and stored.shape(name) == tuple(shards.shape(name)):
            yield stored.part(name, []).float(), shards.whole(name, torch.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages.changed_weights", description=__doc__)
    parser.add_argument("run", type=Path)
    for name, changed, compared in shares(parser.parse_args(arguments).run):
        print(f"{name}: {100 * changed:.2f} % of {compared:,} weights changed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
