"""Options of size, conversion, search and distillation. This file imports neither torch nor transformers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgerlvr.config.cards import CARDS
from judgerlvr.config.domains import COUNT, PATH, SHARE, Choice, Domain, Pattern, Range
from judgerlvr.config.values import BadValue, from_text, shown

DEFAULT_RATIO = 3
GIVEN = "given"  # The attribute with the flags that a command line has.


@dataclass(frozen=True)
class InitialValues:
    """Values of the new parts at the start.

    Gate weights start at zero, so ``gate_sparse`` and ``gate_window`` (0 to 1) hold for every token. By default the
    window branch leads, which computes the source layer's attention cut to a window. ``sink`` is the logit of every
    sink. At -10, a sink takes under 1/20,000 of a branch whose largest logit is 0, and the sink still gets a gradient.
    """

    gate_sparse: float = 0.1
    gate_window: float = 0.9
    sink: float = -10.0


@dataclass(frozen=True)
class Option:
    """An option with one value: its type, default, domain and help."""

    flag: str
    kind: type
    default: Any
    domain: Domain
    text: str

    @property
    def name(self) -> str:
        """The attribute that holds the value after parsing."""
        return self.flag.lstrip("-").replace("-", "_")


class LayerNumbers:
    """Numbers of full layers, ascending from 0."""

    says = "ascending layer numbers from 0, such as 0,1,3"

    def allows(self, value: str) -> bool:
        parts = value.split(",")
        if not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
            return False
        numbers = [int(part) for part in parts]
        return numbers[0] == 0 and numbers == sorted(set(numbers))


DEVICE = Option("--device", str, None, Pattern(r"cpu|cuda(:\d{1,3})?", "cpu, cuda or cuda:N"), "default: cuda if any")
RATIO = Option("--sparse-ratio", int, None, Range(least=1, most=10**4), "sparse layers after each full layer, evenly")
FULL_LAYERS = Option("--full-layers", str, None, LayerNumbers(), "numbers of the full layers, such as 0,1,3")
SEARCH = Option("--search", Path, None, PATH, "file of texts on which placements of full layers are measured")
SHAPE = (
    Option("--select-block", int, 64, COUNT, "tokens a selected block"),
    Option("--select-tokens", int, 1024, COUNT, "selected tokens a query"),
    Option("--window", int, 128, Range(least=2, most=10**9), "tokens of the window branch"),
    Option("--gate-sparse", float, InitialValues.gate_sparse, SHARE, "start of the sparse branch's gate"),
    Option("--gate-window", float, InitialValues.gate_window, SHARE, "start of the window branch's gate"),
)
COSTS = (
    Option("--context", int, 32_768, COUNT, "tokens a sequence"),
    Option("--batch", int, 1, COUNT, "sequences"),
)
CARD = Option("--card", str, None, Choice(tuple(CARDS)), "card that --plan is for (default: this machine's, or h200)")
KV_DTYPE = Option("--kv-dtype", str, "bf16", Pattern(r"bf16|fp8", "bf16 or fp8"), "of the KV cache")
SEARCHING = (
    Option("--full-count", int, None, COUNT, "full layers that the search leaves (default: as many as 1:3 has)"),
    Option("--heldout", int, 64, COUNT, "texts held out from the search"),
    Option("--length", int, 4096, Range(least=2, most=10**9), "tokens at which a text is cut"),
    Option("--rows", int, 1, COUNT, "packed rows of --length tokens a forward pass"),
    DEVICE,
)
STUDENT = Option(
    "--student", Path, None, PATH, "directory of a HySparse model to train further, in place of a conversion"
)
TRAINING = (
    Option("--texts", Path, None, PATH, "file with a text a row"),
    Option("--heldout", int, 64, COUNT, "rows held out"),
    Option("--length", int, 1024, Range(least=2, most=10**9), "most tokens of a packed row"),
    Option("--device", str, None, Pattern(r"cpu|cuda", "cpu or cuda"), "default: cuda if any"),
    Option("--precision", str, None, Pattern(r"bf16|fp32", "bf16 or fp32"), "of products; default: bf16 on a GPU"),
    Option("--steps", int, 200, COUNT, "optimiser steps"),
    Option("--rows", int, 8, COUNT, "packed rows a step"),
    Option("--rows-at-once", int, None, COUNT, "packed rows a pass of one process (default: all of the process)"),
    Option("--lr", float, 3e-4, Range(above=0, most=10), "largest learning rate, which decays linearly to 0"),
    Option("--warmup", int, 0, Range(least=0, most=10**9), "steps in which the learning rate grows to --lr"),
    Option("--every", int, 20, COUNT, "steps between evaluations"),
    Option("--save-every", int, 100, COUNT, "steps between checkpoints"),
    Option("--hidden", float, 0.0, Range(least=0, most=1e6), "weight of the layers' distances"),
    Option("--seed", int, 0, Range(least=0, most=2**31 - 1), "of the order of the rows"),
)
SWITCHES = {
    "--recompute": "compute activations again in the backward pass, which saves memory",
    "--plan": "print minutes and memory before any weight is read, and stop",
    "--resume": "go on from the last checkpoint in OUT, with the options of the first start",
}


def reader(option: Option) -> Callable[[str], Any]:
    """The function that reads an option's text, for argparse's ``type``."""

    def read(text: str) -> Any:
        try:
            value = text if option.kind in (str, Path) else from_text(text, option.kind)
        except BadValue as error:
            raise argparse.ArgumentTypeError(f"{error.problem}; {error.remedy}") from error
        if not option.domain.allows(value):
            raise argparse.ArgumentTypeError(f"is {shown(value)}; give {option.domain.says}")
        return option.kind(value)

    return read


class Noted(argparse.Action):
    """Stores a value, and notes the flag in the namespace's ``given``. A default that is written out is given too."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, values)
        namespace.given = {*getattr(namespace, GIVEN, ()), self.option_strings[0]}


def given(options: argparse.Namespace, declared: Iterable[Option]) -> list[str]:
    """Flags of the declared options that the command line has, whatever their value."""
    return [option.flag for option in declared if option.flag in getattr(options, GIVEN, ())]


def add(parser: Any, options: Iterable[Option], required: Iterable[str] = ()) -> None:
    """Add ``options`` to a parser or to a group of a parser."""
    for option in options:
        needed = {"required": True} if option.flag in required else {}
        default = "" if option.default is None else " (default %(default)s)"
        parser.add_argument(
            option.flag,
            action=Noted,
            type=reader(option),
            default=option.default,
            help=option.text + default,
            **needed,
        )


def add_conversion(parser: argparse.ArgumentParser, way: Option) -> None:
    """Options of every command that converts. ``way`` joins the ways to get a placement of full layers."""
    for name, text in (("source", "directory of a Qwen3 or Qwen3-MoE model"), ("out", "new directory of the result")):
        parser.add_argument(name, type=reader(Option(name, Path, None, PATH, text)), help=text)
    places = parser.add_mutually_exclusive_group()
    add(places, (RATIO, FULL_LAYERS, way))
    add(parser, SHAPE)
