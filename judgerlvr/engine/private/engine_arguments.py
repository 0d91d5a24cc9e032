"""Arguments of vLLM's engine, checked before any engine starts.

Names are read from vLLM's source, since an import of vLLM takes many seconds. Values are given to vLLM itself, in
another process that makes the engine's configuration and loads no weight.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from rewards.errors import InputError

CLASSES = ("EngineArgs", "AsyncEngineArgs")
# Arguments that other settings decide, with these settings.
DECIDED = {
    "model": "give the model's directory by its own setting",
    "tokenizer": "put the tokenizer's files into the model's directory",
    "seed": "set seed",
    "trust_remote_code": "set model.trust_remote_code",
    "worker_extension_cls": "leave it out",
}
# An import by a busy machine takes a minute.
CHECK_SECONDS = 300.0
ANSWER = "judgerlvr: vLLM says "
CHECK = f"""
import json, sys
from vllm.engine.arg_utils import EngineArgs
given = json.load(sys.stdin)
try:
    EngineArgs(**given).create_engine_config()
    said = ""
except Exception as error:
    said = f"{{type(error).__name__}}: {{error}}"
print({ANSWER!r} + json.dumps(said), flush=True)
"""


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


def check_decided(arguments: Mapping[str, Any], where: str) -> None:
    """Raise an InputError for an argument that another setting decides. ``where`` is what stands before a name."""
    for name, remedy in DECIDED.items():
        if name in arguments:
            raise InputError("another setting decides it", remedy, field=f"{where}{name}")


def check_room_for(longest: int, arguments: Mapping[str, Any], where: str) -> None:
    """Raise an InputError for an engine whose context is shorter than ``longest`` tokens."""
    context = arguments.get("max_model_len")
    if context is not None and (type(context) is not int or context < longest):
        problem = f"{context!r}, and prompt and response take up to {longest} tokens"
        raise InputError(problem, "leave it out, or give a whole number from that on", field=f"{where}max_model_len")


def check_engine_values(model: Path, arguments: Mapping[str, Any], where: str) -> None:
    """Let vLLM make the configuration of an engine, without weights. Takes as long as an import of vLLM.

    Raises:
        InputError: vLLM refuses a value. ``where`` names the arguments' setting.
    """
    if not engine_arguments():
        return
    given = json.dumps({"model": str(model), **arguments})
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", CHECK]
    try:
        done = subprocess.run(
            command, input=given, env=os.environ | quiet, capture_output=True, text=True, timeout=CHECK_SECONDS
        )
    except subprocess.TimeoutExpired:
        # A slow machine is no bad input.
        return
    said = [line.removeprefix(ANSWER) for line in done.stdout.splitlines() if line.startswith(ANSWER)]
    if said and (error := json.loads(said[-1])):
        raise InputError(
            f"vLLM refuses the arguments ({_shortened(error)})", "mend or leave out the value", field=where
        )


def _shortened(error: str) -> str:
    """An error of vLLM without the places in pydantic's documentation, and without the count of errors."""
    text = re.sub(r"\[type=.*?(?=$|\n)|For further information visit \S+", "", error)
    return " ".join(re.sub(r"\d+ validation errors? for \w+", "", text).split())
