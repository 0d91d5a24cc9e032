"""What the processes of one distillation tell and decide together. torchrun numbers the processes from 0.

torchrun ends all processes when one has failed. The process that tells the reason must be the one that fails.
"""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TypeVar

from rewards.errors import BAD_INPUT, ENDING, InputError

Found = TypeVar("Found")
# Number and count of processes on all machines, and on this one.
NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
START = "start with torchrun, or unset it"
WAIT = 60.0  # Seconds within which torchrun ends the other processes.


def check_numbers() -> None:
    """Raise InputError for numbers of processes in the environment that torchrun would not give."""
    for name in NUMBERS:
        if (text := os.environ.get(name)) is not None and not (text.isascii() and text.isdigit() and len(text) < 10):
            raise InputError(f"is {text!r} in the environment, and no number of a process", START, field=name)
    for number, count in (NUMBERS[:2], NUMBERS[2:]):
        if int(os.environ.get(number, 0)) >= (processes := int(os.environ.get(count, 1))):
            problem = f"is {os.environ.get(number, 0)} in the environment, where {count} is {processes}"
            raise InputError(problem, START, field=number)


def is_first() -> bool:
    """Whether this process is the only one, or the first of several."""
    return _number() == 0


@contextmanager
def printed_once() -> Iterator[None]:
    """Print what the block prints in the first process alone."""
    if is_first():
        yield
        return
    with redirect_stdout(io.StringIO()):
        yield


@contextmanager
def ended_without_a_word() -> Iterator[None]:
    """Let a signal end a later process at once within the block. The first process tells of the signal, or the reason
    for which torchrun sends one.
    """
    # A handler in Python would print a line if the signal came before the wait for the end.
    later = threading.current_thread() is threading.main_thread() and not is_first()
    heard = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING) if later}
    heard = {number: handler for number, handler in heard.items() if callable(handler)}
    for number in heard:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)


def same(work: Callable[[], Found]) -> Found:
    """Work on the command line alone, which ends alike in every process. The first process tells an error.

    Raises what ``work`` raises in the first process. The others wait to be ended.
    """
    if is_first():
        return work()
    try:
        with redirect_stderr(io.StringIO()):
            return work()
    except (InputError, SystemExit) as error:
        if not isinstance(error, SystemExit) or error.code:  # --help is no error.
            _wait_for_the_end()
        raise


def agree(work: Callable[[], Found]) -> Found:
    """Work that every process does. An error in any of the processes ends all, and one process tells the error.

    Raises the InputError in the first process that met one, and SystemExit in the others. All processes must call.
    """
    from accelerate.utils import gather_object

    found: list[Found] = []
    problem: InputError | None = None
    try:
        found.append(work())
    except InputError as error:
        problem = error
    try:
        failed = gather_object([problem is not None])
        if not any(failed):
            return found[0]
        telling = problem is not None and (len(failed) == 1 or failed.index(True) == _number())
        if not telling:
            _wait_for_the_end()
    except KeyboardInterrupt:
        # Another process may have told its reason and ended, and torchrun ends this one.
        if int(os.environ.get("WORLD_SIZE", 1)) == 1:
            raise
        raise SystemExit(BAD_INPUT) from None
    if problem is not None and telling:
        raise problem
    raise SystemExit(BAD_INPUT)


def _number() -> int:
    return int(os.environ.get("RANK", 0))


def _wait_for_the_end() -> None:
    """Wait until torchrun ends this process. An earlier end would end the process that tells the reason.

    Raises SystemExit when torchrun does so. Returns if nothing came, so that an error of this process alone is told.
    """
    try:
        time.sleep(WAIT)
    except KeyboardInterrupt:
        raise SystemExit(BAD_INPUT) from None
