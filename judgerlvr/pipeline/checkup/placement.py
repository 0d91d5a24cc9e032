"""Where the processes of a stage will lie: ranks and rollout engines of each machine, by verl's rules.

verl gives each machine one placement group and sorts the groups by address as text, so ranks keep their machines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from judgerlvr.cluster.nodes import Node
from judgerlvr.pipeline.checkup.findings import Finding, ok
from judgerlvr.planning.load import Load
from rewards.wording import counted

ROW = "{:<22} {:<16} {}"


def placement(found: Sequence[Node], load: Load, device: str) -> Iterator[Finding]:
    """A table with a row for each machine that the stage takes. Nothing where Ray has too few machines of that size."""
    able = sorted(node.address for node in found if has_room(node, load, device))
    if len(able) < load.nodes:
        return
    yield ok(ROW.format("node", "trainer ranks", "rollout engines"))
    for machine, address in enumerate(able[: load.nodes]):
        yield ok(ROW.format(address, ranks_of(machine, load.gpus_per_node), engines_of(machine, load)))
    if len(able) > load.nodes:
        yield ok(f"Ray may take others of the {counted(len(able), 'node')} with room, in the same order")


def has_room(node: Node, load: Load, device: str) -> bool:
    return device == "cpu" or node.resources.get("GPU", 0) >= load.all_per_node


def ranks_of(machine: int, count: int) -> str:
    """The numbers of ``count`` things of a machine, where each machine before has as many."""
    first, last = machine * count, (machine + 1) * count - 1
    return str(first) if first == last else f"{first} to {last}"


def engines_of(machine: int, load: Load) -> str:
    """The engines that begin on a machine, and what each engine takes."""
    each = counted(load.tensor_parallel, "device")
    if load.tensor_parallel > load.rollout_per_node:
        return f"part of {machine * load.rollout_per_node // load.tensor_parallel}, which takes {each}"
    own = ", beside the trainer's" if load.separate else ""
    return f"{ranks_of(machine, load.rollout_per_node // load.tensor_parallel)}, {each} each{own}"
