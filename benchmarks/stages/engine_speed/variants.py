"""Ways to run the two passes, switched in place on one engine."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from types import MethodType
from typing import Any

import torch
from torch import Tensor

from judgerlvr.engine.policy_passes import fused_parts

CUDNN_FIRST, VARLEN, BUCKETS = "bench_cudnn", "bench_varlen", "bench_buckets"


@dataclass(frozen=True)
class Variant:
    """The defaults are the product's on a GPU.

    ``head``: verl (whole logits), plain, compiled or fused (verl's FusedLinearForPPO). ``attention``: packed_sdpa
    chooses between varlen and buckets. ``recompute``: all, attention (all but it) or none. ``norms``: own
    (transformers'), rms (torch's) or compiled, with the rotation.
    """

    head: str = "compiled"
    attention: str = "packed_sdpa"
    recompute: str = "all"
    norms: str = "compiled"
    chunk: int = 2**28
    sums: str = "addmm"


PRODUCT = Variant()
ALL = Variant(recompute="all", norms="own")
VARIANTS = {
    "before": Variant(head="verl", attention="sdpa", recompute="all", norms="own"),
    "product": PRODUCT,
    "product, attention kept": replace(PRODUCT, recompute="attention"),
    "product, no recompute": replace(PRODUCT, recompute="none"),
    "plain": replace(ALL, head="plain", sums="add"),
    "fused": replace(ALL, head="fused"),
    "compiled": ALL,
    "compiled-big": replace(ALL, chunk=2**29),
    "compiled-add": replace(ALL, sums="add"),
    "buckets": replace(ALL, attention=BUCKETS),
    "varlen": replace(ALL, attention=VARLEN),
    "cudnn": replace(ALL, attention=CUDNN_FIRST),
    "keep": replace(ALL, recompute="attention"),
    "rms": replace(ALL, norms="rms"),
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
        self.rotation = self.code.apply_rotary_pos_emb
        self.plain = [part for part in self.module.modules() if fused_parts.is_plain_norm(part)]
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
        self.code.apply_rotary_pos_emb = self.rotation
        for norm in self.plain:
            norm.__dict__.pop("forward", None)
        if how == "compiled":
            # The product's own, which looks for the rotation where the class was defined.
            fused_parts.fuse_norms(self.plain)
            fused_parts.fuse_rotation(self.code)
        elif how == "rms":
            for norm in self.plain:
                norm.forward = MethodType(rms_forward, norm)

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
        fused = variant.head == "fused"
        asked_head.head_log_probs = verl_fused if fused else head_log_probs.head_log_probs


def verl_fused(hidden: Tensor, weight: Tensor, labels: Tensor, temperature: Any, *_: Any) -> tuple[Tensor, Tensor]:
    from verl.utils.experimental.torch_functional import FusedLinearForPPO

    log_probs, entropy = FusedLinearForPPO()(hidden, weight, labels)
    return log_probs, entropy.float()


def rms_forward(self: Any, hidden: Tensor) -> Tensor:
    with torch.autocast(hidden.device.type, enabled=False):
        return torch.nn.functional.rms_norm(hidden, self.weight.shape, self.weight, self.variance_epsilon)
