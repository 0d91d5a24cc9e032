"""Import a verifier from the ``package.module:function`` that the configuration names."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from rewards.errors import InputError
from rewards.types import Problem, Result, Verifier

DEFAULT_VERIFIER = "rewards.math:verify"
Quick = Callable[[Problem, str], Result | None]


@dataclass(frozen=True)
class LoadedVerifier:
    """A verifier and, where its module has a ``<function>_quick``, the part that runs in the caller's process.

    By offering ``<function>_quick(problem, answer) -> Result | None`` a verifier promises that it is bounded
    (None hands the sample to a worker) and that its results depend on gold and answer alone, so that equal
    answers of a group are graded once.
    """

    path: str
    verify: Verifier
    quick: Quick | None


def load_verifier(path: str) -> LoadedVerifier:
    """Import ``package.module:function``.

    Raises:
        InputError: malformed path, missing module or function, or not callable.
    """
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise InputError(f"verifier is {path!r}", "write it as package.module:function", field="verifier")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"verifier module {module_name!r}: {error}", "check the name and PYTHONPATH", field="verifier"
        ) from error
    verify = getattr(module, name, None)
    if not callable(verify):
        raise InputError(f"{module_name!r} has no function {name!r}", "name one it defines", field="verifier")
    return LoadedVerifier(path, verify, getattr(module, f"{name}_quick", None))
