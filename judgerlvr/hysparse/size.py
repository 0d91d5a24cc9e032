"""Costs of a configuration: parameters, KV cache and attention FLOPs, beside full attention and a window hybrid.

    python -m judgerlvr.hysparse.size CONFIG --context N --batch B

CONFIG is a preset (7b, 80b-a3b, small, tiny, tiny-moe) or a model directory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rewards.errors import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m judgerlvr.hysparse.size", description=__doc__)
    parser.add_argument("config", help="preset or model directory")
    parser.add_argument("--context", type=int, default=32_768, help="tokens a sequence (default %(default)s)")
    parser.add_argument("--batch", type=int, default=1, help="sequences (default %(default)s)")
    options = parser.parse_args(arguments)
    from judgerlvr.hysparse.sizes import print_report  # after parsing: --help needs no torch

    return exit_code(lambda: print_report(options))


if __name__ == "__main__":
    sys.exit(main())
