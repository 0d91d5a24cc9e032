"""Names of the arguments of vLLM's engine, read from its source: an import of vLLM takes many seconds."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from rewards.errors import InputError

CLASSES = ("EngineArgs", "AsyncEngineArgs")


@cache
def engine_arguments() -> frozenset[str]:
    """The names, or none where vLLM is not installed, as on a login node."""
    found = importlib.util.find_spec("vllm")
    if found is None or not found.submodule_search_locations:
        return frozenset()
    tree = ast.parse(
        (Path(found.submodule_search_locations[0]) / "engine" / "arg_utils.py").read_text(encoding="utf-8")
    )
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in CLASSES]
    fields = [item.target for node in classes for item in node.body if isinstance(item, ast.AnnAssign)]
    return frozenset(target.id for target in fields if isinstance(target, ast.Name))


def check_engine_arguments(names: Iterable[str], where: str) -> None:
    """Raise an InputError for a name that vLLM does not know. ``where`` is what stands before a name."""
    known = engine_arguments()
    for name in names:
        if known and name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise InputError("vLLM has no such argument", f"did you mean {near}?", field=f"{where}{name}")
