"""The plan of a stage on more and more GPUs as a page of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from judgerlvr.config.schema import Config, Kind
from judgerlvr.planning.constants import COMPARED_CARDS
from judgerlvr.planning.lengths import Lengths, lognormal, recorded
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import Machine
from judgerlvr.planning.report import assumed, size
from judgerlvr.planning.rollout_arguments import uncounted, uncounted_lines
from judgerlvr.planning.scaling import CARDS_OF_A_MACHINE, Row, row
from judgerlvr.planning.shapes import ModelShape
from judgerlvr.planning.speed import PHASES
from rewards.errors import InputError

HEAD = f"{'GPUs':>5} {'prompts':>8} {'GiB':>6} {'fits':>5} {'step s':>8}"
HEAD += "".join(f" {phase:>9}" for phase in PHASES) + f" {'gathers':>14} {'waiting':>8} {'filled':>7} {'async':>6}"


def numbers_of(text: str) -> list[int]:
    """Numbers of GPUs, such as ``8,64,512``.

    Raises:
        InputError: a word that is no whole number above 0.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) for word in words):
        raise InputError(repr(text), "give numbers above 0 with commas between, such as 8,64,512", field="--gpus")
    return sorted({int(word) for word in words})


def distributions(run: Path | None, mean: float | None, tails: str, limit: int) -> list[Lengths]:
    """Lengths that ``run`` has recorded, or lognormals. Without ``mean`` the mean is a quarter of ``limit``.

    Raises:
        InputError: no logged rollouts, or no such lognormal.
    """
    if run is not None:
        return [recorded(run, limit)]
    try:
        ratios = [float(word) for word in tails.split(",")]
    except ValueError as error:
        raise InputError(repr(tails), "give numbers, such as 1.5,4", field="--tail") from error
    return [lognormal(limit / 4 if mean is None else mean, ratio, limit) for ratio in ratios]


def page(
    kind: Kind,
    config: Config,
    shape: ModelShape,
    machine: Machine,
    gpus: Sequence[int],
    distributed: Sequence[Lengths],
) -> Iterator[str]:
    """The lines of the page."""
    most = max(CARDS_OF_A_MACHINE, config.cluster.gpus_per_node)
    yield (
        f"{kind} stage of {Path(config.model.path).name}, {size(shape.parameters)}, on machines of {most} "
        f"{machine.card} with {machine.gpu.memory_gib} GiB"
    )
    limit = load_of(kind, config).response
    for lengths in distributed:
        yield ""
        yield lengths.described(limit)
        yield HEAD
        for count in gpus:
            yield row_line(row(kind, config, shape, machine, count, lengths))
    yield ""
    yield from legend(config)


def row_line(found: Row) -> str:
    """A row of the table."""
    load = found.load
    numbers = (
        f"{load.ranks:>5} {load.prompts:>8} {found.gib:>6.1f} {'yes' if found.fits else 'no':>5} {found.step:>8.1f}"
    )
    phases = "".join(f" {found.seconds[phase]:>9.1f}" for phase in PHASES)
    gathers = f"{found.gathered_gib:.0f} GiB, {found.gather_seconds:.1f} s"
    simulated = f" {gathers:>14} {found.sampled.waiting:>8.1%} {found.sampled.filled:>7.1%} {found.gain:>5.2f}x"
    return f"{numbers}{phases}{simulated}{'' if found.compared else '  unverified'}"


def legend(config: Config) -> Iterator[str]:
    yield "prompts: of a step, raised to the next number that divides among the ranks"
    yield "gathers: weights and gradients that reach a card in a step, and their seconds beside the computing"
    yield "waiting: share of the sampling that a mean engine waits for the last; filled: slots' steps that make a token"
    yield "async: a step's seconds over those with asynchronous rollouts, simulated: a bound from above"
    yield f"unverified: runs of at most {COMPARED_CARDS} cards, split by data alone, were compared with the plan"
    yield f"speeds: {'measured on your cards' if config.planning.measured else 'constants of the planner'}"
    yield from uncounted_lines(uncounted(config.cluster, config.engine, "gpu"))
    yield f"assumed, not measured: {', '.join(assumed())}"
