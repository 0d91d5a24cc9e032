"""Dense causal attention of libraries, the baselines."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.hysparse.kernels.case import DEVICE, Case
from benchmarks.hysparse.kernels.table import Row

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

    # Compiled, neither library holds a mask or logits of context x context.
    compiled = torch.compile if DEVICE == "cuda" else lambda function: function
    mask = compiled(create_block_mask)(
        lambda b, h, query, key: query >= key, None, None, context, context, device=DEVICE
    )
    run = compiled(flex_attention)
    return lambda q, k, v: run(q, k, v, block_mask=mask, enable_gqa=True)


def fa3(context: int) -> Callable[..., Tensor]:
    """FA3 of its own package, or of vLLM, which brings the forward pass only. Tensors are [tokens, heads, dim]."""
    cuts = torch.tensor([0, context], dtype=torch.int32, device=DEVICE)
    sizes = {"max_seqlen_q": context, "max_seqlen_k": context, "cu_seqlens_q": cuts, "cu_seqlens_k": cuts}
    if find_spec("flash_attn_interface"):
        from flash_attn_interface import flash_attn_varlen_func as own

        return lambda q, k, v: own(q, k, v, **sizes, causal=True)
    from vllm.vllm_flash_attn import flash_attn_varlen_func

    return lambda q, k, v: flash_attn_varlen_func(q, k, v, **sizes, causal=True, fa_version=3)


def token_major(tensor: Tensor) -> Tensor:
    """[1, heads, tokens, dim] in FA3's layout [tokens, heads, dim]."""
    return tensor.detach()[0].transpose(0, 1).contiguous()


def lazily(make: Callable[[], Callable[..., Tensor]]) -> Callable[..., Tensor]:
    """A call whose preparation, done once at the first call, may fail inside a guarded row."""
    made = functools.cache(make)
    return lambda *inputs: made()(*inputs)


def baselines(case: Case) -> None:
    """Dense causal attention of the libraries that are fastest on this card."""
    case.both("FA3", lazily(lambda: fa3(case.context)), case.work(), prepare=token_major)
    through_sdpa(case, "SDPA cuDNN")


def slow_baselines(case: Case) -> None:
    """Slower libraries, at the first context only. flex_attention compiles for most of a minute a shape."""
    names = ("SDPA flash", "flex_attention")
    if case.context != case.options.contexts[0]:
        for name in names:
            case.table.add(Row(case.context, case.group, name, note="left out: timed at the first context only"))
        return
    through_sdpa(case, names[0])
    case.both(names[1], lazily(lambda: flex(case.context)), case.work())


def through_sdpa(case: Case, name: str) -> None:
    """SDPA on one backend. K and V are expanded if the backend wants as many heads of keys as of queries."""
    case.both(name, sdpa(SDPA[name]), case.work())
    if case.table.find(case.context, case.group, f"{name} + backward") is None:
        case.both(name + EXPANDED, sdpa(SDPA[name], expand=True), case.work())
