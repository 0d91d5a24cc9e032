"""Names of the arguments of vLLM's engine, read from its source: an import of vLLM takes many seconds."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

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
