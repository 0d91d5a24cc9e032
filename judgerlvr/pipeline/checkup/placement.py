"""Where the processes of a stage may lie: ranks and rollout engines of each machine, by verl's rules.

verl makes a placement group for each machine's worth of ranks, and numbers the groups by address as text. Ray chooses
the machines of the groups. A choice is certain only where each machine has room for one group, and no machine is spare.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from judgerlvr.cluster.nodes import Node
from judgerlvr.pipeline.checkup.findings import Finding, ok
from judgerlvr.planning.constraints import cpus_of_machine
from judgerlvr.planning.load import Load
from rewards.wording import counted

ROW = "{:<22} {:<16} {}"


def placement(found: Sequence[Node], load: Load) -> Iterator[Finding]:
    """A table with a row for each machine that the stage takes. Nothing where Ray has too few machines of that size."""
    able = sorted((node for node in found if has_room(node, load)), key=lambda node: node.address)
    if len(able) < load.nodes:
        return
    yield ok(ROW.format("node", "trainer ranks", "rollout engines"))
    for machine, node in enumerate(able[: load.nodes]):
        yield ok(ROW.format(node.address, ranks_of(machine, load.gpus_per_node), engines_of(machine, load)))
    if not is_certain(able, load):
        yield ok(f"Ray may choose otherwise among {counted(len(able), 'node')} with room: the table is one possibility")


def has_room(node: Node, load: Load) -> bool:
    """Whether Ray offers enough there. verl asks for a GPU by name on a CPU too."""
    resources = node.resources
    return resources.get("GPU", 0) >= load.all_per_node and resources.get("CPU", 0) >= cpus_of_machine(load)


def is_certain(able: Sequence[Node], load: Load) -> bool:
    """Whether Ray has one way to place the groups. A rollout with GPUs of its own has groups of its own."""
    if load.nodes == 1 and len(able) == 1:
        return True
    least = min(load.gpus_per_node, load.rollout_gpus_per_node or load.gpus_per_node)
    spare = any(node.resources.get("GPU", 0) >= load.all_per_node + least for node in able)
    return len(able) == load.nodes and not spare and not load.separate


def ranks_of(machine: int, count: int) -> str:
    """The numbers of ``count`` things of a machine, where each machine before has as many."""
    first, last = machine * count, (machine + 1) * count - 1
    return str(first) if first == last else f"{first} to {last}"


def engines_of(machine: int, load: Load) -> str:
    """The engines that begin on a machine, and what each engine takes."""
    each = counted(load.tensor_parallel, "device")
    own = ", beside the trainer's" if load.separate else ""
    if load.tensor_parallel > load.rollout_per_node:
        return f"part of {machine * load.rollout_per_node // load.tensor_parallel}, which takes {each}{own}"
    return f"{ranks_of(machine, load.rollout_per_node // load.tensor_parallel)}, {each} each{own}"
