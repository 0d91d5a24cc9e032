"""Dense causal attention of libraries, the baselines."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from hysparse.case import DEVICE, Case
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

EXPANDED = ", K and V expanded"
SDPA = {"SDPA cuDNN": SDPBackend.CUDNN_ATTENTION, "SDPA flash": SDPBackend.FLASH_ATTENTION}
BASELINES = (*SDPA, *(name + EXPANDED for name in SDPA), "flex_attention", "FA3")


def sdpa(backend: SDPBackend, expand: bool = False) -> Callable[..., Tensor]:
    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if expand:
            k, v = (tensor.repeat_interleave(q.shape[1] // k.shape[1], 1) for tensor in (k, v))
        with sdpa_kernel(backend):
            return functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

    return call


def flex(context: int) -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    # compiled, neither holds a mask or logits of context x context
    compiled = torch.compile if DEVICE == "cuda" else lambda function: function
    mask = compiled(create_block_mask)(
        lambda b, h, query, key: query >= key, None, None, context, context, device=DEVICE
    )
    run = compiled(flex_attention)
    return lambda q, k, v: run(q, k, v, block_mask=mask, enable_gqa=True)


def fa3(context: int) -> Callable[..., Tensor]:
    from vllm.vllm_flash_attn import flash_attn_varlen_func

    cuts = torch.tensor([0, context], dtype=torch.int32, device=DEVICE)

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        flat = [tensor[0].transpose(0, 1) for tensor in (q, k, v)]
        sizes = {"max_seqlen_q": context, "max_seqlen_k": context, "cu_seqlens_q": cuts, "cu_seqlens_k": cuts}
        return flash_attn_varlen_func(*flat, **sizes, causal=True, fa_version=3)

    return call


def lazily(make: Callable[[], Callable[..., Tensor]]) -> Callable[..., Tensor]:
    """A call whose preparation, done once at the first call, may fail inside a guarded row."""
    made = functools.cache(make)
    return lambda *inputs: made()(*inputs)


def baselines(case: Case) -> None:
    """Dense causal attention of libraries. FA3 as vLLM ships it has no backward."""
    for name, backend in SDPA.items():
        case.both(name, sdpa(backend), case.work())
        # a backend may not take fewer heads of keys than of queries
        if case.table.find(case.context, case.group, f"{name} + backward") is None:
            case.both(name + EXPANDED, sdpa(backend, expand=True), case.work())
    # each shape compiles for the better part of a minute: the first context stands for all
    if case.context == case.options.contexts[0]:
        case.both("flex_attention", lazily(lambda: flex(case.context)), case.work())
    case.both("FA3", lazily(lambda: fa3(case.context)), case.work())
