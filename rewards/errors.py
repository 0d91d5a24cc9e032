"""The errors that end a command with one line, and the exit code of each.

This is the only place that catches every exception: ``reading`` around what a user's file can do wrong,
``failing`` around the start of a library's servers, and ``exit_code`` around a whole command.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

BAD_INPUT = 2
FAILED = 1
READER_GONE = 128 + signal.SIGPIPE
LONGEST_LINE = 500
# Signals that would end a command without a word. Batch systems send USR1 before the end of a job's time.
ENDING = (signal.SIGTERM, signal.SIGUSR1)
# Errors of the operating system that name a fault of the machine and not of an argument.
MACHINE = {
    errno.ENOSPC: ("no space left on the device", "free some space, then give the same command again"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, then give the same command again"),
    errno.EFBIG: ("a file grew over the largest size allowed", "raise the limit (ulimit -f), or write elsewhere"),
    errno.EMFILE: ("too many open files", "raise the limit (ulimit -n), then give the same command again"),
}


# Errors that name a fault of a path that was given.
PATHS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EEXIST),
    *(errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
)


class CommandFailed(Exception):
    """A run that began well and ended badly. The message is the cause on a single line."""

    code = FAILED


@dataclass
class InputError(Exception):
    """Bad input: names file, row, field and remedy; entry points print it as one line and exit with 2.

    ``row`` counts from 1 as a person does (header lines are not rows); fields that make no sense for the
    error stay None.
    """

    problem: str
    remedy: str
    file: str | Path | None = None
    row: int | None = None
    field: str | None = None

    @property
    def fault(self) -> str:
        """Place and problem, without the remedy."""
        places = [str(self.file)] if self.file is not None else []
        places += [f"row {self.row}"] if self.row is not None else []
        places += [f"field {self.field!r}"] if self.field is not None else []
        where = ", ".join(places)
        return f"{where + ': ' if where else ''}{self.problem}"

    def __str__(self) -> str:
        return f"{self.fault}; {self.remedy}"


def one_line(error: BaseException) -> str:
    """An exception's message as a line of bounded length, or the name of the class. A remedy stays whole."""
    if isinstance(error, InputError):
        remedy = bounded(error.remedy, LONGEST_LINE // 2)
        return f"{bounded(error.fault, LONGEST_LINE - len(remedy) - 2)}; {remedy}"
    return bounded(str(error)) or type(error).__name__


def bounded(text: str, most: int = LONGEST_LINE) -> str:
    """A text as a line of at most ``most`` characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3] + "..."


def machine_fault(error: BaseException) -> str | None:
    """What a full disk or a used-up quota says, None for another error. Libraries in Rust give a text only."""
    named = re.search(r"os error (\d+)", str(error))
    number = error.errno if isinstance(error, OSError) and error.errno else int(named.group(1)) if named else 0
    if number not in MACHINE:
        return None
    file = getattr(error, "filename", None)
    problem, remedy = MACHINE[number]
    return f"{f'{file}: ' if file else ''}{problem}; {remedy}"


@contextmanager
def reading(
    problem: str, remedy: str, file: str | Path | None = None, field: str | None = None, row: int | None = None
) -> Iterator[None]:
    """Turn whatever a user's file, template, verifier or model directory raises into one InputError.

    Raises:
        InputError: the block raised an exception. Errors of this product and of the machine pass unchanged.
    """
    try:
        yield
    except (InputError, CommandFailed):
        raise
    except Exception as error:
        if machine_fault(error):
            raise
        text = f"{problem} ({type(error).__name__}: {one_line(error)})"
        raise InputError(text, remedy, file=file, row=row, field=field) from error


@contextmanager
def failing(told: Callable[[Exception], str | None]) -> Iterator[None]:
    """Turn whatever a library raises at its start into one line. ``told`` returns None for an error that is to pass.

    Raises:
        CommandFailed: the block raised an exception. Errors of this product and of the machine pass unchanged.
    """
    try:
        yield
    except (InputError, CommandFailed):
        raise
    except Exception as error:
        cause = None if machine_fault(error) else told(error)
        if cause is None:
            raise
        raise CommandFailed(cause) from error


def exit_code(run: Callable[[], None]) -> int:
    """Run a command, print an error that people can act on as one line, and return the exit code.

    Ctrl-C, SIGTERM and SIGUSR1 are heard from here on, so that ``run`` also imports what takes seconds.
    """
    came = [signal.SIGINT]
    try:
        with _terminable(came):
            run()
    except InputError as error:
        return _end(f"error: {one_line(error)}", BAD_INPUT)
    except CommandFailed as error:
        return _end(f"failed: {one_line(error)}", error.code)
    except KeyboardInterrupt:
        code = FAILED if came[-1] == signal.SIGUSR1 else 128 + came[-1]
        return _end(f"failed: {came[-1].name}; give the same command again", code)
    except BrokenPipeError:
        # Whoever read the output has gone, such as `head`. Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except Exception as error:  # noqa: BLE001
        return _end(*_foreign(error))
    return 0


@contextmanager
def _terminable(came: list[signal.Signals]) -> Iterator[None]:
    """Let ``ENDING`` interrupt the block as Ctrl-C does, and note the signal in ``came``.

    Raises:
        KeyboardInterrupt: a signal came. A fork of this process dies of the signal as ever.
    """
    main = threading.current_thread() is threading.main_thread()
    heard = [number for number in ENDING if main and signal.getsignal(number) == signal.SIG_DFL]
    owner = os.getpid()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() != owner:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        came.append(signal.Signals(number))
        raise KeyboardInterrupt

    for number in heard:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)


def _end(line: str, code: int) -> int:
    print(line, file=sys.stderr, flush=True)
    return code


def _foreign(error: Exception) -> tuple[str, int]:
    """(line, exit code) of an exception that is not ours."""
    if fault := machine_fault(error):
        return f"failed: {fault}", FAILED
    if isinstance(error, OSError) and error.errno in PATHS and error.filename:
        return f"error: {error.filename}: {error.strerror}; give another path, or change its permissions", BAD_INPUT
    log = _write_traceback()
    return f"failed: unexpected {type(error).__name__}: {one_line(error)}; traceback in {log}", FAILED


def _write_traceback() -> Path:
    name = f"judgerlvr-error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    path = Path(tempfile.gettempdir()) / name
    path.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
    return path
