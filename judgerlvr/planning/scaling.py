"""A stage on more and more GPUs: seconds and memory of a step, gathers, idle engines, and asynchronous rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache as memory

from judgerlvr.config.check import prompt_multiple
from judgerlvr.config.schema import Config, Kind
from judgerlvr.planning.constants import COMPARED_CARDS
from judgerlvr.planning.constraints import check_constraints
from judgerlvr.planning.lengths import Lengths
from judgerlvr.planning.load import Load, load_of
from judgerlvr.planning.machine import GIB, Machine
from judgerlvr.planning.measured import measured_for
from judgerlvr.planning.memory import phases
from judgerlvr.planning.proposals import fits
from judgerlvr.planning.shapes import ModelShape
from judgerlvr.planning.simulation import Engine, Sampled, asynchronous, synchronous
from judgerlvr.planning.speed import (
    GIGA,
    Tokens,
    at_once,
    decode_step_seconds,
    gathered_bytes,
    link_gb_s,
    prefill_seconds,
    step_seconds,
    token_seconds,
)
from rewards.errors import InputError
from rewards.wording import counted

# Cards of a machine where the configuration does not name more.
CARDS_OF_A_MACHINE = 8
# A simulation of more samples would take minutes.
MOST_CARDS = 65_536


@dataclass(frozen=True)
class Row:
    """A stage on ``load.ranks`` GPUs. ``gib`` is the fullest phase of a card.

    ``seconds`` are of a synchronous step by phase. ``flowing`` is the sampling of a step with asynchronous rollouts.
    ``gathered_gib`` reach a card in a step, over a link of ``link`` GB/s. ``compared``: runs of as many cards were.
    """

    load: Load
    gib: float
    fits: bool
    seconds: Mapping[str, float]
    sampled: Sampled
    flowing: float
    gathered_gib: float
    link: float
    compared: bool

    @property
    def step(self) -> float:
        return sum(self.seconds.values())

    @property
    def gather_seconds(self) -> float:
        return self.gathered_gib * GIB / (self.link * GIGA)

    @property
    def gain(self) -> float:
        """Seconds of a synchronous step over seconds of a step with asynchronous rollouts."""
        return self.step / (self.step - self.seconds["sampling"] + self.flowing)


def load_on(kind: Kind, config: Config, gpus: int) -> Load:
    """The stage's load on ``gpus`` cards, with the least number of prompts from the given one on that divides.

    Raises:
        InputError: cards that do not fill machines, a stage that no number of prompts helps, or a rollout with cards
            of its own.
    """
    given, most = load_of(kind, config), max(CARDS_OF_A_MACHINE, config.cluster.gpus_per_node)
    if given.separate:
        remedy = "set cluster.trainer_mode=colocate_async and cluster.rollout_gpus_per_node=0"
        raise InputError("more cards are planned for a shared rollout alone", remedy, field="cluster.trainer_mode")
    if gpus > MOST_CARDS:
        raise InputError(f"{gpus} GPUs", f"give at most {MOST_CARDS}, since sampling is simulated", field="--gpus")
    if gpus < 1 or (gpus > most and gpus % most):
        raise InputError(
            f"{counted(gpus, 'GPU')} cannot fill machines of {most}", f"give a multiple of {most}", field="--gpus"
        )
    load = replace(given, nodes=max(1, gpus // most), gpus_per_node=min(gpus, most))
    multiple = prompt_multiple(load.updates, load.samples_per_prompt, load.data_ranks)
    return replace(load, prompts=-(-load.prompts // multiple) * multiple)


def row(kind: Kind, config: Config, shape: ModelShape, machine: Machine, gpus: int, lengths: Lengths) -> Row:
    """The stage on ``gpus`` cards, with responses of ``lengths``.

    Raises:
        InputError: as ``load_on``, numbers that verl or vLLM refuse, or a bad file of measured speeds.
    """
    load = load_on(kind, config, gpus)
    check_constraints(load, shape, "gpu")
    tokens = Tokens(load.longest - load.response, lengths.mean, lengths.longest)
    measured = measured_for(machine.card, config.planning.measured) if config.planning.measured else None
    factors = measured.factors() if measured else {}
    engine, factor = _engine(shape, load, machine, tokens), factors.get("sampling", 1.0)
    sampled = synchronous(lengths, load.samples, load.engines, engine)
    seconds = step_seconds(shape, load, machine, tokens, factors) | {"sampling": sampled.seconds * factor}
    return Row(
        load=load,
        gib=max(phase.gib for phase in phases(shape, load, machine.gpu)),
        fits=fits(shape, load, machine.gpu),
        seconds=seconds,
        sampled=sampled,
        flowing=asynchronous(lengths, load.samples, load.engines, engine) * factor,
        gathered_gib=gathered_bytes(shape, load, tokens) / GIB,
        link=link_gb_s(load, machine),
        compared=was_compared(load, measured.load.ranks if measured else 0),
    )


def was_compared(load: Load, measured_ranks: int = 0) -> bool:
    """Whether the plan was compared with as many cards, split by data alone, or measured on ``measured_ranks``."""
    split = load.tensor_parallel > 1 or load.sequence_parallel > 1 or load.separate
    return load.ranks <= max(0 if split else COMPARED_CARDS, measured_ranks)


def _engine(shape: ModelShape, load: Load, machine: Machine, tokens: Tokens) -> Engine:
    return Engine(
        slots=int(at_once(shape, load, machine, tokens)),
        step=memory(lambda running: decode_step_seconds(shape, load, machine, running)),
        token=token_seconds(shape, load, machine, tokens),
        prefill=prefill_seconds(shape, load, tokens),
    )
