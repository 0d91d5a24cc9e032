"""The same command again: does the command ask for the same run, for more steps, or for another run?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from judgerlvr.config.load import flat
from judgerlvr.config.schema import Config, Kind

# A run folder may be moved, and the name is known by then.
PLACES = ("name", "runs")
# Sections that a stage of the key's kind never reads.
UNREAD = {
    "judge": tuple(f"generate.{name}." for name in ("stop", "algorithm", "optimizer", "validation", "checkpoint")),
    "generate": ("judge.",),
}
# Limits that may be raised while everything else stays. Of the last two, 0 is no limit.
LIMITS = ("stop.steps", "stop.generated_tokens", "stop.hours")


# Keys that say what a run computes on, and leave the results alone.
MACHINES = (
    "cluster.nodes",
    "cluster.gpus_per_node",
    "cluster.rollout_gpus_per_node",
    "cluster.tensor_parallel",
    "cluster.sequence_parallel",
    "cluster.rollout_gpu_share",
    "cluster.rollout_cpu_gib",
    "cluster.micro_batch_tokens",
    "cluster.offload",
)


class Change(NamedTuple):
    """A key whose value differs between a run and a command."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key} {self.before} -> {self.after}"


def changes(stored: Config, wanted: Config, kind: Kind) -> list[Change]:
    """Keys that a stage reads and that differ, in the schema's order."""
    before, after = dict(flat(asdict(stored))), dict(flat(asdict(wanted)))
    # Open mappings may hold entries on a single side.
    names = list(dict.fromkeys([*before, *after]))
    return [
        Change(name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name) and name not in PLACES and not name.startswith(UNREAD[kind])
    ]


def may_change(change: Change, kind: Kind, runs: Path) -> bool:
    """Whether a run below ``runs`` may go on with a change: a raised limit, other machines, or a moved folder."""
    return change.key in MACHINES or is_raise(change, kind) or is_move(change, kind, runs)


def is_move(change: Change, kind: Kind, runs: Path) -> bool:
    """Whether the runs whose tokens end this run have only moved to ``runs``, as all runs of an experiment do."""
    if change.key != f"{kind}.stop.tokens_of":
        return False
    before, after = ([Path(path) for path in paths or ()] for paths in (change.before, change.after))
    beside = all(path.parent.resolve() == runs.resolve() for path in after)
    together = len({path.parent for path in before}) == 1
    return beside and together and [path.name for path in before] == [path.name for path in after]


def is_raise(change: Change, kind: Kind) -> bool:
    """Whether a change only lets the run go on for longer."""
    if change.key not in {f"{kind}.{name}" for name in LIMITS}:
        return False
    no_limit = change.after == 0 and not change.key.endswith("steps")
    return no_limit or (change.before != 0 and change.after > change.before)
