"""Write the reference pages of configuration keys and metrics from their declarations.

    python -m judgerlvr.reference [--check]

The pages are docs/keys.md and the table of docs/metrics.md. ``--check`` writes nothing and ends with 2 where a page
differs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.config.load import ROOT
from judgerlvr.config.reference import key_page
from rewards.command_line import OneLineParser
from rewards.errors import InputError, exit_code

KEYS, METRICS = Path("docs") / "keys.md", Path("docs") / "metrics.md"
TABLE = re.compile(r"^\| metric \|.*?(?=^[^|]|\Z)", re.M | re.S)


def pages(root: Path = ROOT) -> dict[Path, str]:
    """Text of each page as the declarations have the facts."""
    from judgerlvr.runs.metrics import metric_table

    table = metric_table()
    before = (root / METRICS).read_text(encoding="utf-8")
    return {KEYS: key_page(), METRICS: TABLE.sub(lambda _: table, before, count=1)}


def write(check: bool, root: Path = ROOT) -> None:
    """Write or check the pages.

    Raises:
        InputError: with ``check``, a page that differs.
    """
    for name, text in pages(root).items():
        path = root / name
        same = path.is_file() and path.read_text(encoding="utf-8") == text
        if check and not same:
            raise InputError("differs from the declarations", "run python -m judgerlvr.reference", file=name)
        if not same:
            path.write_text(text, encoding="utf-8")
        print(f"{name}: {'as declared' if same else 'written'}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m judgerlvr.reference", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, and end with 2 where a page differs")
    options = parser.parse_args(arguments)
    return exit_code(lambda: write(options.check))


if __name__ == "__main__":
    sys.exit(main())
