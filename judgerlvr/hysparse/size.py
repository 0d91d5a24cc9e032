"""Costs of a configuration: parameters, KV cache and attention FLOPs, beside full attention and a window hybrid.

    python -m judgerlvr.hysparse.size CONFIG --context N --batch B --kv-dtype fp8

CONFIG is a preset (7b, 80b-a3b, small, tiny, tiny-moe, hysparse2 and others) or a model directory.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from judgerlvr.config.domains import PATH
from judgerlvr.hysparse.conversion.options import COSTS, KV_DTYPE, Option, add, reader
from rewards.command_line import OneLineParser
from rewards.errors import exit_code

CONFIG = Option("config", str, None, PATH, "preset or model directory")


def size(arguments: Sequence[str] | None) -> None:
    """Parse and print. Raises InputError for everything that a person can mend."""
    parser = OneLineParser(prog="python -m judgerlvr.hysparse.size", description=__doc__)
    parser.add_argument("config", type=reader(CONFIG), help=CONFIG.text)
    add(parser, (*COSTS, KV_DTYPE))
    options = parser.parse_args(arguments)
    from judgerlvr.hysparse.model.sizes import print_report  # after parsing: --help needs no torch

    print_report(options)


def main(arguments: Sequence[str] | None = None) -> int:
    return exit_code(lambda: size(arguments))


if __name__ == "__main__":
    sys.exit(main())
