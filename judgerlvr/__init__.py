"""Judge first, generate second: RL post-training for accurate and short reasoning (arXiv 2601.08468)."""

import importlib.util
import sys
from pathlib import Path

__version__ = "0.1.0"


def _load_own(name: str) -> None:
    """Load the package ``name`` that lies beside this package.

    ``python -m`` puts the current folder first on the path. A user's own ``rewards.py`` or ``data`` folder there
    would otherwise be imported in place of the product's package.
    """
    file = Path(__file__).resolve().parents[1] / name / "__init__.py"
    present = sys.modules.get(name)
    if present is not None and Path(getattr(present, "__file__", None) or "").resolve() == file:
        return
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


for _name in ("rewards", "data"):
    _load_own(_name)
