"""The list of commands, and one entry point for all of them.

python -m judgerlvr                     # print the commands
judgerlvr COMMAND [ARGUMENT ...]        # the same as python -m judgerlvr.COMMAND
"""

from __future__ import annotations

import ast
import difflib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from rewards.errors import BAD_INPUT, InputError

PACKAGE = Path(__file__).parent

# In the order in which a person meets the commands. The names are modules of this package.
COMMANDS = (
    "doctor",
    "diagnose",
    "stage1_judge",
    "stage2_generate",
    "evaluate",
    "compare",
    "judge_benchmark",
    "benchmark",
    "report",
    "inspect_data",
    "sample_candidates",
    "make_judge_data",
    "measure",
    "plan",
    "reference",
    "export",
    "restore",
    "submit",
    "demo",
    "experiment",
    "tinyworld",
    "tinyworld.making.texts",
    "hysparse.size",
    "hysparse.convert",
    "hysparse.distill",
    "hysparse.agreement",
)


def source_file(command: str) -> Path:
    """The file that holds the command's ``main``."""
    path = PACKAGE / command.replace(".", "/")
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


def summary(command: str) -> str:
    """First sentence of the command's docstring, read without importing the command."""
    docstring = ast.get_docstring(ast.parse(source_file(command).read_text(encoding="utf-8"))) or ""
    first = " ".join(docstring.partition("\n\n")[0].split())
    return first.partition(": ``")[0].rstrip(".")


def command_list() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {command:<{width}}  {summary(command)}" for command in COMMANDS]
    return "\n".join(["usage: judgerlvr COMMAND [ARGUMENT ...]", "", *lines, "", "help: judgerlvr COMMAND --help"])


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Run the command's ``main`` and return the exit code.

    Raises:
        InputError: no command has this name.
    """
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.0)[0]
        raise InputError(f"no command is called {name!r}", f"did you mean {near!r}? `judgerlvr` alone lists all")
    suffix = ".__main__" if source_file(name).name == "__main__.py" else ""
    module = importlib.import_module(f"judgerlvr.{name}{suffix}")
    code: int = module.main(list(arguments))
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(command_list())
        return 0
    try:
        return run_command(given[0], given[1:])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
