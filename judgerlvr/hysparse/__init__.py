"""HySparse (arXiv 2602.03560): full layers hand their KV and their selection to the sparse layers after them.

The import of ``judgerlvr.hysparse.model.registration`` registers the model type ``hysparse`` with transformers.
The names below load at first use. Commands can print their help and kernels can be tested without transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

LAZY = {
    "HySparseConfig": "judgerlvr.hysparse.model.config",
    "HySparseForCausalLM": "judgerlvr.hysparse.model.modeling",
    "register": "judgerlvr.hysparse.model.registration",
}


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_module("judgerlvr.hysparse.model.registration")
    return getattr(import_module(LAZY[name]), name)
