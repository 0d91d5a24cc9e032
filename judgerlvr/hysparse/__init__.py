"""HySparse (arXiv 2602.03560): full layers hand their KV and their selection to the sparse layers after them.

``judgerlvr.hysparse.registration`` registers the model type ``hysparse`` with transformers' Auto classes on import.
The names below load at first use. Commands can print their help and kernels can be tested without transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

LAZY = {
    "HySparseConfig": "judgerlvr.hysparse.config",
    "HySparseForCausalLM": "judgerlvr.hysparse.modeling",
    "register": "judgerlvr.hysparse.registration",
}


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_module("judgerlvr.hysparse.registration")
    return getattr(import_module(LAZY[name]), name)
