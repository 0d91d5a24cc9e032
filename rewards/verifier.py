"""The context that a verifier reads, and the import of the verifier that a configuration names."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from rewards.errors import InputError, reading
from rewards.types import Problem, Result, Verifier

DEFAULT_VERIFIER = "rewards.math:verify"
OWN = "rewards"
# An import of torch by a busy machine takes half of this.
IMPORT_SECONDS = 60.0
# Names the module that an earlier process has tried.
TRIED = "JUDGERLVR_VERIFIER_TRIED"
SURVIVED = b"judgerlvr: imported"
# An exception is told by the import in the command's own process. Python calls the hook for no ``sys.exit``.
TRY = f"""
import importlib, sys
sys.excepthook = lambda *_: print({SURVIVED.decode()!r}, flush=True)
importlib.import_module(sys.argv[1])
print({SURVIVED.decode()!r}, flush=True)
"""
Quick = Callable[[Problem, str], Result | None]
Reads = Literal["answer", "response", "completion"]
Key = Callable[[Problem, str], Any]
_Function = TypeVar("_Function", bound=Callable[..., Result])


def verifier(*, reads: Reads = "answer", needs_gold: bool = True) -> Callable[[_Function], _Function]:
    """Decorate a verifier ``(problem, text) -> Result`` with what it reads.

    Args:
        reads: ``answer`` is the extracted final answer. ``response`` is everything after the thinking part.
            ``completion`` is everything that was sampled, thinking included.
        needs_gold: False accepts problems without a gold answer.

    Raises:
        InputError: ``reads`` is none of the three.
    """
    if reads not in get_args(Reads):
        raise InputError(f"a verifier that reads {reads!r}", f"use one of {', '.join(get_args(Reads))}", field="reads")

    def mark(function: _Function) -> _Function:
        function.reads, function.needs_gold = reads, needs_gold  # type: ignore[attr-defined]
        return function

    return mark


@dataclass(frozen=True)
class LoadedVerifier:
    """A verifier, what it reads, and the part that runs in the caller's process.

    By offering ``<function>_quick(problem, text) -> Result | None`` a verifier promises that this part is bounded.
    None hands the sample to a worker. With a quick part equal texts to equal problems are graded once. ``key`` names
    all that decides the result: ``<function>_key`` of the module, or else the whole problem.
    """

    path: str
    verify: Verifier
    quick: Quick | None
    key: Key
    reads: Reads = "answer"
    needs_gold: bool = True


def whole_problem(problem: Problem, text: str) -> tuple[str, str | None, str, str]:
    """Everything that a verifier may read of a problem, and the text."""
    return problem.text, problem.gold, repr(sorted(problem.meta.items())), text


def _try_import(module_name: str) -> None:
    """Import a foreign module in another process first: a module that ends its process would end the command.

    Children of this process do not try again.

    Raises:
        InputError: the other process died, or was not done in time.
    """
    if module_name in sys.modules or module_name.partition(".")[0] == OWN or os.environ.get(TRIED) == module_name:
        return
    problem = None
    try:
        tried = subprocess.run(
            [sys.executable, "-c", TRY, module_name],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=IMPORT_SECONDS,
            check=False,
        )
        if SURVIVED not in tried.stdout:
            problem = f"ends the process when it is imported ({ended_by(tried.returncode)})"
    except subprocess.TimeoutExpired:
        problem = f"is not imported within {IMPORT_SECONDS:.0f} s"
    if problem:
        remedy = "guard its script part by __name__, and mend what ends or holds the process"
        raise InputError(f"verifier module {module_name!r} {problem}", remedy, field="verifier")
    os.environ[TRIED] = module_name


def ended_by(code: int) -> str:
    """How a process ended, by its exit code as ``subprocess`` gives the code."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def load_verifier(path: str) -> LoadedVerifier:
    """Import ``package.module:function``.

    Raises:
        InputError: malformed path, missing module or function, or not callable.
    """
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise InputError(f"verifier is {path!r}", "write it as package.module:function", field="verifier")
    _try_import(module_name)
    problem, remedy = f"verifier module {module_name!r} cannot be imported", "check the name, PYTHONPATH and the module"
    try:
        with reading(problem, remedy, field="verifier"):
            module = importlib.import_module(module_name)
    except SystemExit as error:  # a script without a guard would end the command, and say that all is well
        ended = f"verifier module {module_name!r} ends the process when it is imported"
        raise InputError(ended, "guard its script part by __name__", field="verifier") from error
    verify = getattr(module, name, None)
    if not callable(verify):
        raise InputError(f"{module_name!r} has no function {name!r}", "name one it defines", field="verifier")
    quick, key = getattr(module, f"{name}_quick", None), getattr(module, f"{name}_key", whole_problem)
    return LoadedVerifier(
        path, verify, quick, key, getattr(verify, "reads", "answer"), getattr(verify, "needs_gold", True)
    )
