"""The parser of every command: a wrong option is one line, as every other bad input is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from rewards.errors import BAD_INPUT


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage. The exit code is that of bad input.

    A path may begin with ``~``, which no shell expands behind ``--out=``. An empty path is refused.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.register("type", Path, path_of)

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"error: {message}; see {self.prog} --help\n")


def path_of(word: str) -> Path:
    """The path of a word. An empty word would mean the current folder, as an unset variable of a shell does."""
    if not word:
        raise argparse.ArgumentTypeError("an empty path, which would be the current folder")
    return Path(word).expanduser()
