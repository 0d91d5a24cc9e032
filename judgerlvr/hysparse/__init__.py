"""HySparse (arXiv 2602.03560): full layers that hand their KV and their selection to the sparse layers after them.

Importing the package registers the model type ``hysparse`` with transformers' Auto classes.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForCausalLM

from judgerlvr.hysparse.config import HySparseConfig
from judgerlvr.hysparse.modeling import HySparseForCausalLM

__all__ = ["HySparseConfig", "HySparseForCausalLM", "register"]


def register() -> None:
    """Make AutoConfig and AutoModelForCausalLM know ``hysparse``; repeating it changes nothing."""
    AutoConfig.register(HySparseConfig.model_type, HySparseConfig, exist_ok=True)
    AutoModelForCausalLM.register(HySparseConfig, HySparseForCausalLM, exist_ok=True)


register()
