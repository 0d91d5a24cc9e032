"""Makes transformers' Auto classes know the model type ``hysparse``."""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForCausalLM

from judgerlvr.hysparse.config import HySparseConfig
from judgerlvr.hysparse.modeling import HySparseForCausalLM


def register() -> None:
    """Register configuration and model; repeating it changes nothing."""
    AutoConfig.register(HySparseConfig.model_type, HySparseConfig, exist_ok=True)
    AutoModelForCausalLM.register(HySparseConfig, HySparseForCausalLM, exist_ok=True)
