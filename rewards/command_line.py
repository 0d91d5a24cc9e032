"""The parser of every command: a wrong option is one line, as every other bad input is."""

from __future__ import annotations

import argparse
from typing import NoReturn

from rewards.errors import BAD_INPUT


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage. The exit code is that of bad input."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"error: {message}; see {self.prog} --help\n")
