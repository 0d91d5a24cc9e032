"""Registration of the model type ``hysparse`` with transformers' Auto classes, made on import."""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForCausalLM

from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM


def register() -> None:
    """Register configuration and model. A second call changes nothing."""
    AutoConfig.register(HySparseConfig.model_type, HySparseConfig, exist_ok=True)
    AutoModelForCausalLM.register(HySparseConfig, HySparseForCausalLM, exist_ok=True)


register()
