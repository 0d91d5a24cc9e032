"""Options of conversion and distillation. This file imports neither torch nor transformers."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path


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
class Plan:
    """Optimisation: ``rows`` packed rows a step, linear decay of ``lr`` to zero, evaluation every ``every`` steps.

    ``hidden`` weighs the distance of the layers' hidden states from the source's.
    """

    steps: int = 200
    rows: int = 8
    lr: float = 3e-4
    every: int = 20
    hidden: float = 0.0
    seed: int = 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that converts."""
    parser.add_argument("source", type=Path, help="directory of a Qwen3 or Qwen3-MoE model")
    parser.add_argument("out", type=Path, help="directory of the HySparse model")
    parser.add_argument("--sparse-ratio", type=int, default=3, help="sparse layers after each full layer")
    parser.add_argument("--select-block", type=int, default=64, help="tokens a selected block")
    parser.add_argument("--select-tokens", type=int, default=1024, help="selected tokens a query")
    parser.add_argument("--window", type=int, default=128, help="tokens of the window branch")
    parser.add_argument(
        "--gate-sparse", type=float, default=InitialValues.gate_sparse, help="0 to 1 (default %(default)s)"
    )
    parser.add_argument(
        "--gate-window", type=float, default=InitialValues.gate_window, help="0 to 1 (default %(default)s)"
    )
