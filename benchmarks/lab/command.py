"""What the lab's commands share: bad input is a single line on standard error and exit code 2."""

from __future__ import annotations

import argparse
import functools
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.lab.stored import faults

Main = Callable[[Sequence[str] | None], int]


class BadInput(Exception):
    """Something that the user gave cannot be used. The message is a single line and names the remedy."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are a single line, without the usage. An empty path is refused."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.register("type", Path, path_of)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def one_line(main: Main) -> Callable[..., int]:
    """``main`` that answers ``BadInput``, and a missing matplotlib, by a single line and 2."""

    @functools.wraps(main)
    def guarded(arguments: Sequence[str] | None = None) -> int:
        try:
            return main(arguments)
        except BadInput as problem:
            print(problem, file=sys.stderr)
        except ModuleNotFoundError as problem:
            if problem.name != "matplotlib":
                raise
            print("plots need matplotlib: install matplotlib, or ask for no plots", file=sys.stderr)
        return 2

    return guarded


def path_of(text: str) -> Path:
    """The path of a word. An empty word would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path, which would be the current folder")
    return Path(text)


def seconds(text: str) -> float:
    """A time limit of more than 0 seconds. ``inf`` is no limit."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value


@contextmanager
def told(problem: str) -> Iterator[None]:
    """Errors of the file system as ``BadInput``: the problem, then the system's words."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"{problem}: {error.strerror or error}") from error


def made_folder(path: Path) -> Path:
    """``path`` as a folder, made where it is missing."""
    with told(f"{path} cannot be a folder, so name another one"):
        path.mkdir(parents=True, exist_ok=True)
    return path


def writable_file(path: Path, kinds: Sequence[str] = ()) -> Path:
    """``path``, whose folder must exist. Its name must end with one of ``kinds``, such as ``.png``, if any."""
    if kinds and path.suffix.lower() not in kinds:
        raise BadInput(f"{path} cannot be written: its name must end with {', '.join(kinds)}")
    if path.is_dir() or not path.parent.is_dir():
        raise BadInput(f"{path} cannot be written: name a file in a folder that exists")
    return path


def read_object(file: Path, *fields: str) -> dict[str, Any]:
    """The JSON object of a file, which must have ``fields``. Every known field must be of its kind."""
    try:
        with told(f"{file} cannot be read"):
            content = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file} is not JSON, so copy the file anew or delete it: {error}") from error
    if not isinstance(content, dict):
        raise BadInput(f"{file} holds no JSON object, so the lab did not write it")
    if lacking := [name for name in fields if name not in content]:
        raise BadInput(f"{file} lacks {', '.join(lacking)}, so the lab did not write it")
    for field, fault in faults(content, "runs" in fields):
        raise BadInput(f"{file}: {field} is {fault}: copy the file anew, or move it to another folder")
    return content
