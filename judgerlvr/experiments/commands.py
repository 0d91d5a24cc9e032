"""Calls of the product's own commands, printed as a person would type them."""

from __future__ import annotations

import subprocess
import sys

from rewards.errors import CommandFailed


def call(module: str, *arguments: object) -> None:
    """Run a command of the product in a process of its own.

    Raises:
        CommandFailed: the command returned another exit code than 0.
    """
    words = ["-m", f"judgerlvr.{module}", *map(str, arguments)]
    print(f"\n$ python {' '.join(words)}", flush=True)
    done = subprocess.run([sys.executable, *words], check=False)
    if done.returncode:
        raise CommandFailed(f"judgerlvr.{module} returned {done.returncode}")
