"""Tables of the docs pages as lines of Markdown, and commands that print them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from benchmarks.lab.command import Parser, one_line
from benchmarks.lab.records import LABEL


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def printer(module: str, about: str, lines: Callable[[], list[str]]) -> Callable[..., int]:
    """The ``main`` of a module whose command takes no arguments and prints ``lines``."""

    @one_line
    def main(arguments: Sequence[str] | None = None) -> int:
        Parser(prog=f"python -m benchmarks.lab.{module}", description=f"{LABEL}: {about}").parse_args(arguments)
        print("\n".join(lines()))
        return 0

    return main
