"""Every reach into private parts of vLLM 0.24 (GPU lock) and 0.31 (CPU lock), and the differences between the two.

``tests/hysparse/test_vllm_checks.py`` fails when vLLM moves one of these names.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cache
from typing import Any

import torch
from torch import nn

# vLLM cuts layers into pipeline stages with this function.
from vllm.distributed.utils import get_pp_indices

# Blocks and model body of the stock Qwen3-MoE. HySparse differs in attention only. vLLM's own variants replace the
# layer with ``decoder_layer_type`` of the body.
from vllm.model_executor.models.qwen3_moe import Qwen3MoeMLP, Qwen3MoeModel, Qwen3MoeSparseMoeBlock

# vLLM itself gives a backend another builder with this function.
from vllm.v1.attention.backend import subclass_attention_backend

# Number of a step's requests with one new token. vLLM sorts requests for builders that ask for the order.
from vllm.v1.attention.backends.utils import split_decodes_and_prefills

__all__ = [
    "Qwen3MoeMLP",
    "Qwen3MoeModel",
    "Qwen3MoeSparseMoeBlock",
    "get_pp_indices",
    "split_decodes_and_prefills",
]

# Both versions need a name in ``AttentionBackendEnum``. 0.24 has this placeholder only.
BACKEND_NAME = "CUSTOM"


def register_custom_backend(path: str) -> None:
    """Put the class at ``path`` in the place of the placeholder backend."""
    from vllm.v1.attention.backends.registry import AttentionBackendEnum, register_backend

    register_backend(AttentionBackendEnum[BACKEND_NAME], path)


def cache_shape(pages: int, page: int, kv_heads: int, head_dim: int) -> tuple[int, int, int, int]:
    """Shape of one layer's cache: K and V side by side in the last dimension.

    0.31 hands every backend this view. 0.24 asks the backend, and lets groups share raw memory, so pages come first.
    """
    return pages, kv_heads, page, 2 * head_dim


def cache_order(layered: bool) -> tuple[int, ...]:
    """Dimensions of ``cache_shape`` in the order of memory. ``layered``: with layers as a further first dimension.

    Pages lie outermost, before layers too. Everything that reads or writes a cache steps by the strides of pages, heads
    and tokens, and needs only K beside V. 0.24 reads from this order that the backend finds a page by its stride, as
    FlashAttention does, and full layers of both backends share cache groups. 0.31 does not ask.
    """
    return (1, 0, 2, 3, 4) if layered else (0, 1, 2, 3)


def without_window(cache_config: Any) -> Any:
    """The cache configuration of a layer that sees everything.

    If a model has full layers only, 0.24 takes the configuration's ``sliding_window`` for all layers.
    """
    unlimited = copy(cache_config)
    unlimited.sliding_window = None
    return unlimited


def sink_dtype(model_dtype: torch.dtype, device_type: str) -> torch.dtype:
    """Dtype of the stock window kernel: the model's for FlashAttention 3, float32 for CPU_ATTN, which then copies
    nothing.
    """
    return torch.float32 if device_type == "cpu" else model_dtype


def schedules_in_the_step(attention: Any) -> None:
    """Have a layer's FlashAttention 3 kernel plan its own work in every step, and in captured steps too.

    If all FlashAttention layers of a model have one window, 0.24 plans ahead for one cache group and hands the plan to
    the other groups. Their captured graphs read buffers of their own, filled at capture, so decoding may never end.
    """
    if attention.attn_backend.get_name() == "FLASH_ATTN":
        attention.attn_backend = _without_plan(attention.attn_backend)


@cache
def _without_plan(backend: Any) -> Any:
    """The backend with a builder that plans nothing ahead."""
    stock = backend.get_builder_cls()

    def init(self: Any, *arguments: Any, **named: Any) -> None:
        stock.__init__(self, *arguments, **named)
        self.aot_schedule = False

    builder = type(f"Unplanned{stock.__name__}", (stock,), {"__init__": init})
    return subclass_attention_backend("Unplanned", backend, builder)


def host_lengths(common: Any) -> torch.Tensor:
    """Tokens of each request with its new tokens, on the host. vLLM's upper bound is exact without speculation."""
    known: torch.Tensor | None = common.seq_lens_cpu_upper_bound
    return common.seq_lens.cpu() if known is None else known


def source_impl(layer_name: str, vllm_config: Any) -> Any:
    """The attention implementation of a layer that is already built. vLLM's own KV sharing looks here too."""
    return vllm_config.compilation_config.static_forward_context[layer_name].impl


def restore_expert_loaders(model: nn.Module) -> None:
    """Give expert tensors their loader back. Post-processing replaces the tensors and drops the loader in some
    versions.

    verl does so for the architectures that verl lists, and ours is not among them.
    """
    for module in model.modules():
        loader = getattr(module, "weight_loader", None)
        if not getattr(loader, "supports_moe_loading", False):
            continue
        for parameter in module.parameters(recurse=False):
            if not hasattr(parameter, "weight_loader"):
                parameter.weight_loader = loader


def capture_routing(moe: nn.Module, capture: Callable[[torch.Tensor], None]) -> None:
    """Register ``capture``. Each forward calls it with the logical expert ids [tokens, top_k].

    vLLM's own capturer registers in the same way.
    """
    moe.experts.router.set_capture_fn(capture)


def set_routing_capture(runner: Any, capture: Callable[[torch.Tensor], None]) -> None:
    """``capture_routing`` for a layer in vLLM's forward context, of a model that is not ours."""
    runner.router.set_capture_fn(capture)


def routing_capture(runner: Any) -> Any:
    """The callable that ``capture_routing`` gave to the router of a layer in vLLM's forward context."""
    return runner.router.capture_fn


def routes_in_kernel(runner: Any) -> bool:
    """Whether the layer's kernel takes router logits. The router, and the capture with it, is then never called.

    0.24 on a CPU has such kernels only. On GPUs, Blackwell's kernels are of this kind.
    """
    monolithic: bool = runner.routed_experts.quant_method.is_monolithic
    return monolithic


def merged_window(kv_cache_spec: Any) -> int | None:
    """Window of a full-attention group that had to take in window layers. None if the group holds full layers only."""
    window: int | None = getattr(kv_cache_spec, "sliding_window", None)
    return window
