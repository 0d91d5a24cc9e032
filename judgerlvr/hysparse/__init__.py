"""HySparse (arXiv 2602.03560): full layers that hand their KV and their selection to the sparse layers after them.

Importing the package registers the model type ``hysparse`` with transformers' Auto classes. Without transformers
the operations under ``ops`` still import: their kernels are tested where only torch and triton are installed.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("transformers"):
    from judgerlvr.hysparse.config import HySparseConfig
    from judgerlvr.hysparse.modeling import HySparseForCausalLM
    from judgerlvr.hysparse.registration import register

    __all__ = ["HySparseConfig", "HySparseForCausalLM", "register"]

    register()
