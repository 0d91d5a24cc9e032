"""Cells of the map as data: a world, a base, batches, and the arms with their rates and seeds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.lab.arms import Arm, control_arms, dose_arms, main_arms, most_arms, recipe_arms, registered_arms
from benchmarks.lab.checks import COLD_GAINS, GREEDY_GAINS, LEAST_ENTROPY
from benchmarks.lab.sft import SftConfig
from benchmarks.lab.training import RlConfig
from benchmarks.lab.worlds.chain import ChainConfig
from benchmarks.lab.worlds.demo_facts import DemoConfig
from benchmarks.lab.worlds.gate_facts import GateConfig
from benchmarks.lab.worlds.making import WorldConfig


@dataclass(frozen=True)
class Cell:
    """One command's worth of runs. ``base_accuracy`` is the range that the base's check demands."""

    name: str
    world: WorldConfig
    arms: tuple[Arm, ...]
    base_accuracy: tuple[float, float]
    sft: SftConfig = field(default_factory=SftConfig)
    rl: RlConfig = field(default_factory=RlConfig)
    model: dict[str, int] = field(default_factory=dict)  # sizes that differ from the lab's model
    rates: tuple[float, ...] = (5e-5, 1e-4)
    seeds: int = 4
    seed: int = 0
    registration: str = ""  # file that was committed before the cell's first run
    least_entropy: float = LEAST_ENTROPY  # after judging, as a share of the base's
    check_edition: int = 1  # 2 for registrations after instance 8
    known_to_fail: tuple[str, ...] = ()  # checks of every base of this world. So no arm of the cell has an outcome


STEPS = 120
FRESH = "-fresh-"  # stands in the name of an instance, between the cell and the number
RECIPES = "-recipes"  # stands behind the cell in the name of an instance for our own recipes
CONTROLS = "-controls"  # ends the name of a cell that starts from another cell's base
# Shares of unreliable facts by the accuracy of the base in percent, and the range that the base's check demands.
# The traces' own accuracy is .10, .15 and .39 with rechecks and .06, .11 and .37 without (8,000 traces of seed 0).
# Easier bases have twice the facts, to keep headroom.
STARTS: dict[str, tuple[dict[str, Any], tuple[float, float]]] = {
    "05": ({}, (0.03, 0.14)),
    "15": ({"unreliable": 0.45, "operations": 6}, (0.10, 0.20)),
    "40": ({"unreliable": 0.18, "operations": 6}, (0.32, 0.48)),
}
# A base of 2,000 steps was .987 well formed at the last start, and .99 is the least.
BASE_STEPS = {"05": 2000, "15": 2000, "40": 3000}


def chain_cells() -> list[Cell]:
    """Worlds by kind, by reliability of the recheck, and by accuracy of the base."""
    axes = [(kind, check, start) for start in STARTS for check in ("92", "88", "95") for kind in ("chain", "twin")]
    kept = [axis for axis in axes if axis[1] == "92" or axis[2] == "05"]
    return [chain_cell(*axis) for axis in kept]


def chain_cell(kind: str, check: str, start: str) -> Cell:
    settings, accuracy = STARTS[start]
    world = ChainConfig(check_right=float(f"0.{check}"), replaces=kind == "chain", **settings)
    return Cell(f"{kind}-{check}-{start}", world, main_arms(STEPS), accuracy, SftConfig(BASE_STEPS[start]))


def with_controls(cell: Cell) -> Cell:
    return replace(cell, name=cell.name + CONTROLS, arms=control_arms(STEPS))


def fresh_instance(cell: Cell, number: int, registration: str) -> Cell:
    """The same cell with other facts, another base and other problems, for a registered confirmation."""
    return replace(
        cell,
        name=f"{cell.name}{FRESH}{number}",
        world=replace(cell.world, seed=number),
        sft=replace(cell.sft, seed=number),
        arms=registered_arms(STEPS),
        rates=(1e-4,),
        seeds=8,
        seed=100 + number,
        registration=registration,
    )


def registered_cells() -> list[Cell]:
    """Every registered cell. The later ones have a smaller least entropy, as their registrations say."""
    chain, twin = chain_cell("chain", "92", "05"), chain_cell("twin", "92", "05")
    return [
        *(fresh_instance(chain, number, "judge-20-2026-11-29.md") for number in (1, 2)),
        replace(fresh_instance(chain, 3, "judge-20-chain-2026-11-30.md"), least_entropy=0.60),
        replace(fresh_instance(chain, 5, "judge-20-chain-second-2026-11-30.md"), least_entropy=0.60),
        replace(fresh_instance(twin, 4, "judge-20-twin-2026-11-30.md"), least_entropy=0.60),
        *(trained_longer(fresh_instance(chain, number, "judge-20-chain-third-2026-11-30.md")) for number in (6, 7)),
        *(dosed(fresh_instance(chain, number, "judge-until-chain-2026-11-30.md")) for number in (8, 9)),
        *(dosed_by_most(fresh_instance(chain, number, "judge-most-chain-2026-11-30.md")) for number in (10, 11)),
        *(dosed_by_most(fresh_instance(chain, number, "judge-most-chain-second-2026-11-30.md")) for number in (12, 13)),
    ]


# The base of instance 20 failed a check. The first of these whose base passes is trained on.
RECIPES_INSTANCES = {f"chain-92-05{RECIPES}": 21, f"chain-92-05{RECIPES}-22": 22}


def setting_of(name: str) -> str:
    """The cell of an instance's name. All instances of a cell have its world and its start."""
    return name.partition(FRESH)[0].partition(RECIPES)[0]


def instance_of(name: str) -> int:
    """The number in an instance's name, or of its recipes. The first instance has no number, and gets 0."""
    return RECIPES_INSTANCES.get(name) or int(name.partition(FRESH)[2] or 0)


def recipe_cells() -> list[Cell]:
    """Other instances of chain-92-05, exploratory, with our own recipes beside plain judging."""
    chain = chain_cell("chain", "92", "05")
    bases = {name: trained_longer(fresh_instance(chain, number, "")) for name, number in RECIPES_INSTANCES.items()}
    return [replace(cell, name=name, arms=recipe_arms(STEPS), check_edition=2) for name, cell in bases.items()]


def dosed(cell: Cell) -> Cell:
    """Judging ends when enough is learnt, and not after 20 steps."""
    return replace(trained_longer(cell), arms=dose_arms(STEPS))


def dosed_by_most(cell: Cell) -> Cell:
    """Judging ends when six of eight runs have learnt enough."""
    return replace(trained_longer(cell), arms=most_arms(STEPS), check_edition=2)


def trained_longer(cell: Cell) -> Cell:
    """With half as many steps of the base again, since two bases of 2,000 steps were not well formed enough."""
    return replace(cell, sft=replace(cell.sft, steps=3000), least_entropy=0.60)


# The traces of the base are right in .06 to .07 in all four gate worlds (8,000 traces each of seeds 0 to 2, on a CPU).
# Forced styles: .05 to .06 without rechecks, .05 to .08 with a recheck at each suspicious place.
GATE_ACCURACY = (0.03, 0.14)
# World S is direct in .45, so that greedy decoding does not recheck: .55 x .8 is below one half.
GATE_WORLDS: dict[str, dict[str, Any]] = {
    "a": {},
    "s": dict(lists_all=True, direct=0.45, careful=0.30, suspicious=0.80, otherwise=0.30, most_rechecks=2),
}


def gate_cells() -> list[Cell]:
    """Worlds in which judge-first lost in a prototype, with and without polarity."""
    return [gate_cell(world, polarity) for polarity in (False, True) for world in GATE_WORLDS]


def gate_cell(world: str, polarity: bool) -> Cell:
    name = f"gate-{world}-{'polarity-' if polarity else ''}05"
    return Cell(
        name, GateConfig(polarity=polarity, **GATE_WORLDS[world]), main_arms(STEPS), GATE_ACCURACY, SftConfig(3000)
    )


# The product's own bases were accepted from .25 to .50. The traces are right in .39 to .41, and in .33 to .34 without
# rechecks (8,000 traces each of seeds 0 to 2, on a CPU). Greedy values are always right.
DEMO, DEMO_ACCURACY = "demo-40", (0.25, 0.50)
DEMO_SHARPENS = (GREEDY_GAINS, COLD_GAINS)


def demo_cell() -> Cell:
    """The product's tiny world. What counts there is each arm less the base at the arm's entropy."""
    cell = Cell(DEMO, DemoConfig(), main_arms(STEPS), DEMO_ACCURACY, SftConfig(3000))
    return replace(cell, check_edition=2, known_to_fail=DEMO_SHARPENS)


def smoke_cell() -> Cell:
    """Seconds on a CPU: every path of the code, no finding."""
    return tiny_cell("smoke", ChainConfig(modulus=4, operations=1, least_steps=1, most_steps=2, unreliable=0.5))


def pair_smoke_cell() -> Cell:
    """As ``smoke``, with heads that vLLM serves and more problems, for ``benchmarks.lab_pair`` on a CPU."""
    world = ChainConfig(modulus=5, operations=2, least_steps=1, most_steps=3, unreliable=0.5)
    rl = RlConfig(8, 8, 4, 4, 2, pool=48, pool_rounds=40, heldout_pairs=8)
    small = {"width": 64, "layers": 2, "heads": 2, "key_heads": 1, "head_width": 32, "hidden": 128}
    return Cell("pair-smoke", world, main_arms(6)[:2], (0.0, 1.0), SftConfig(240, 64, 1e-2), rl, small, (1e-4,), 2)


def gate_smoke_cell() -> Cell:
    """As ``smoke``, in the gate world with the longer window."""
    tiny = GateConfig(lists_all=True, polarity=True, keys=4, gates=1, allowed=2, unreliable=0.5, most_rechecks=1)
    return tiny_cell("gate-smoke", tiny)


def demo_smoke_cell() -> Cell:
    """As ``smoke``, in the demo's chain. Its longer lines take longer to learn."""
    cell = tiny_cell("demo-smoke", DemoConfig(modulus=4, least_steps=1, most_steps=1, direct=0.8, careful=0.1, tries=2))
    return replace(cell, sft=replace(cell.sft, steps=320), check_edition=2, known_to_fail=DEMO_SHARPENS)


def tiny_cell(name: str, world: WorldConfig) -> Cell:
    rl = RlConfig(4, 4, 4, 2, 2, pool=4, pool_rounds=40, heldout_pairs=2)
    small = {"width": 32, "layers": 1, "heads": 2, "key_heads": 1, "head_width": 8, "hidden": 32}
    return Cell(name, world, main_arms(6)[:2], (0.0, 1.0), SftConfig(160, 32, 1e-2), rl, small, (1e-4, 2e-4), 1)


def all_cells() -> dict[str, Cell]:
    cells = chain_cells()
    controls = [with_controls(cell) for cell in cells if cell.name in ("chain-92-05", "chain-92-40")]
    smoke = (smoke_cell(), pair_smoke_cell(), gate_smoke_cell(), demo_smoke_cell())
    every = [*cells, *controls, *registered_cells(), *recipe_cells(), *gate_cells(), demo_cell(), *smoke]
    return {cell.name: cell for cell in every}
