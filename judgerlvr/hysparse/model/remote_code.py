"""Copies of the model's source in a saved directory, so that the directory loads where this package is not installed.

transformers' loader of remote code takes a flat folder with relative imports only, hence the new names.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

AUTO_MAP = {
    "AutoConfig": "hysparse_config.HySparseConfig",
    "AutoModelForCausalLM": "hysparse_modeling.HySparseForCausalLM",
}
OWN = "model.remote_code"
# All files that hysparse_modeling imports, directly or not. A test loads a saved directory without the package.
MODULES = (
    "model.config",
    OWN,
    "model.layout",
    "ops.buckets",
    "ops.segments",
    "model.gates",
    "model.attention",
    "model.experts",
    "model.modeling",
    "ops.selection",
    "ops.reference",
    "ops.by_sequence",
    "ops.dispatch",
)
PREFIX = "hysparse_"
PACKAGE_IMPORT = re.compile(r"^from judgerlvr\.hysparse\.([\w.]+) import ", flags=re.MULTILINE)


def flat_name(module: str) -> str:
    """Module name inside a saved directory: ``ops.selection`` becomes ``hysparse_ops_selection``.

    The folder ``model`` is left out, so that names in saved directories stay as they were.
    """
    return PREFIX + module.removeprefix("model.").replace(".", "_")


def flatten(source: str) -> str:
    """The source with imports of this package turned into relative imports of its flat copies."""
    return PACKAGE_IMPORT.sub(lambda match: f"from .{flat_name(match[1])} import ", source)


def write_code(folder: str | os.PathLike[str]) -> None:
    """Write the flat copies into ``folder``. A model that was itself loaded as remote code can do so too."""
    here = Path(__file__).parent
    for module in MODULES:
        flat = f"{flat_name(module)}.py"
        (Path(folder) / flat).write_text((here / flat).read_text() if (here / flat).exists() else packaged(module))


def packaged(module: str) -> str:
    """The source of a module of this package, as it lies in a saved directory."""
    source = flatten((Path(__file__).parent.parent / (module.replace(".", "/") + ".py")).read_text())
    return source + keep_together() if module == OWN else source


def remove_code(folder: str | os.PathLike[str]) -> None:
    """Undo ``write_code``. A directory that is read where the package is installed needs no copies."""
    for file in Path(folder).glob(f"{PREFIX}*.py"):
        file.unlink()
    path = Path(folder) / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.pop("auto_map", None):
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def keep_together() -> str:
    """Imports that never run. The loader copies the files that a file names, and a second save needs every file."""
    lines = [f"    from .{flat_name(module)} import *" for module in MODULES if module != OWN]
    return "\n".join(["", "if False:", *lines, ""])
