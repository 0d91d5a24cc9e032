"""Ways to run the two passes, switched in place on one engine."""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

CUDNN_FIRST, VARLEN, BUCKETS = "bench_cudnn", "bench_varlen", "bench_buckets"


@dataclass(frozen=True)
class Variant:
    """``head``: verl (whole logits), plain, compiled, fused (verl's FusedLinearForPPO) or triton (verl's kernel).

    ``recompute``: all, attention (kept), none. ``norms``: own (transformers'), rms (torch's) or compiled with rope.
    """

    head: str = "compiled"
    attention: str = "packed_sdpa"
    recompute: str = "all"
    norms: str = "own"
    chunk: int = 2**28
    sums: str = "addmm"


BEFORE = Variant(head="verl", attention="sdpa")
PLAIN = Variant(head="plain", sums="add")
VARIANTS = {
    "before": BEFORE,
    "plain": PLAIN,
    "addmm": replace(PLAIN, sums="addmm"),
    "fused": Variant(head="fused"),
    "triton": Variant(head="triton"),
    "compiled": Variant(),
    "compiled-big": Variant(chunk=2**29),
    "compiled-add": Variant(sums="add"),
    "buckets": Variant(attention=BUCKETS),
    "cudnn": Variant(attention=CUDNN_FIRST),
    "varlen": Variant(attention=VARLEN),
    "keep": Variant(recompute="attention"),
    "keep-cudnn": Variant(recompute="attention", attention=CUDNN_FIRST),
    "none": Variant(recompute="none"),
    "none-cudnn": Variant(recompute="none", attention=CUDNN_FIRST),
    "rms": Variant(norms="rms"),
    "norms": Variant(norms="compiled"),
    "none-norms": Variant(recompute="none", norms="compiled"),
    "none-norms-cudnn": Variant(recompute="none", norms="compiled", attention=CUDNN_FIRST),
}


def register_attentions() -> None:
    from transformers import AttentionInterface

    from judgerlvr.engine.policy_passes import packed_attention as packed

    def of(pass_: Any) -> Any:
        def attend(_module: Any, q: Tensor, k: Tensor, v: Tensor, _mask: Any, scaling: float, **others: Any) -> Any:
            return pass_(q, k, v, packed._row_of(others["position_ids"]), scaling), None

        return attend

    def cudnn_first(*arguments: Any) -> Tensor:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        order = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
        with sdpa_kernel(order, set_priority=True):
            return packed.bucketed(*arguments)

    AttentionInterface.register(VARLEN, of(packed.varlen))
    AttentionInterface.register(BUCKETS, of(packed.bucketed))
    AttentionInterface.register(CUDNN_FIRST, of(cudnn_first))


class Switch:
    """Puts a variant in force on ``engine``."""

    def __init__(self, engine: Any) -> None:
        register_attentions()
        self.engine, self.module, self.ours = engine, engine.module, type(engine)
        self.code = importlib.import_module(self.model_code())
        self.norm = next(type(part) for part in self.module.modules() if type(part).__name__.endswith("RMSNorm"))
        self.originals = {"rope": self.code.apply_rotary_pos_emb, "norm": self.norm.__dict__["forward"]}
        self.asked = self.module.get_output_embeddings().forward

    def model_code(self) -> str:
        kind = self.module.config.model_type
        return f"transformers.models.{kind}.modeling_{kind}"

    def to(self, variant: Variant) -> None:
        self.attention(variant.attention)
        self.recompute(variant.recompute)
        self.norms(variant.norms)
        self.head(variant)

    def attention(self, name: str) -> None:
        for part in self.module.modules():
            if hasattr(part, "config"):
                part.config._attn_implementation = name

    def recompute(self, what: str) -> None:
        from judgerlvr.engine.policy_passes.recompute import kept_attention

        if what == "none":
            self.module.gradient_checkpointing_disable()
            return
        keywords = {"use_reentrant": False} | ({"context_fn": kept_attention} if what == "attention" else {})
        self.module.gradient_checkpointing_enable(gradient_checkpointing_kwargs=keywords)

    def norms(self, how: str) -> None:
        forward = {"own": self.originals["norm"], "rms": rms_forward, "compiled": compiled_forward}[how]
        self.norm.forward = forward
        rope = self.originals["rope"]
        self.code.apply_rotary_pos_emb = compiled_rope(rope) if how == "compiled" else rope

    def head(self, variant: Variant) -> None:
        from verl.workers.engine import FSDPEngineWithLMHead

        from judgerlvr.engine.policy_passes import asked_head, head_log_probs

        output = self.module.get_output_embeddings()
        output.__dict__.pop("forward", None)
        self.engine.__class__ = FSDPEngineWithLMHead if variant.head == "verl" else self.ours
        if variant.head == "verl":
            return
        output.forward = self.asked
        self.engine.head.compiled = variant.head == "compiled"
        head_log_probs.CHUNK_ELEMENTS["cuda"] = variant.chunk
        head_log_probs.SUMS = variant.sums
        asked_head.head_log_probs = {"fused": verl_fused, "triton": verl_triton}.get(
            variant.head, head_log_probs.head_log_probs
        )


def verl_fused(hidden: Tensor, weight: Tensor, labels: Tensor, temperature: Any, *_: Any) -> tuple[Tensor, Tensor]:
    from verl.utils.experimental.torch_functional import FusedLinearForPPO

    log_probs, entropy = FusedLinearForPPO()(hidden, weight, labels)
    return log_probs, entropy.float()


def verl_triton(hidden: Tensor, weight: Tensor, labels: Tensor, temperature: Any, *_: Any) -> tuple[Tensor, Tensor]:
    from verl.utils.kernel.linear_cross_entropy import linear_cross_entropy

    log_probs, entropy = linear_cross_entropy(hidden, weight, labels, 1.0, "none")
    return log_probs.float(), entropy.float()


def rms_forward(self: Any, hidden: Tensor) -> Tensor:
    with torch.autocast(hidden.device.type, enabled=False):
        return torch.nn.functional.rms_norm(hidden, self.weight.shape, self.weight, self.variance_epsilon)


def _norm(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    wide = hidden.float()
    wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
    return weight * wide.to(hidden.dtype)


@functools.cache
def compiled_norm() -> Any:
    return torch.compile(_norm, dynamic=True)


def compiled_forward(self: Any, hidden: Tensor) -> Tensor:
    found: Tensor = compiled_norm()(hidden, self.weight, self.variance_epsilon)
    return found


@functools.cache
def compiled_rope(original: Any) -> Any:
    return torch.compile(getattr(original, "__wrapped__", original), dynamic=True)
