"""HySparse as an out-of-tree model of vLLM: the entry point ``vllm.general_plugins`` calls ``register``.

vLLM calls it in the front end, in the engine core and in every worker, so it must be cheap and repeatable. Nothing
here imports vLLM before it is called.
"""

from __future__ import annotations

ARCHITECTURE = "HySparseForCausalLM"


def register() -> None:
    """Make vLLM know the architecture and transformers the model type; repeating it changes nothing."""
    from vllm import ModelRegistry

    import judgerlvr.hysparse.model.registration  # noqa: F401  (registers the configuration with transformers)
    from judgerlvr.hysparse.vllm.compat import register_custom_backend

    if ARCHITECTURE not in ModelRegistry.get_supported_archs():
        ModelRegistry.register_model(ARCHITECTURE, f"judgerlvr.hysparse.vllm.model:{ARCHITECTURE}")
    register_custom_backend("judgerlvr.hysparse.vllm.backend.HySparseBackend")
