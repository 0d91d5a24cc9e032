"""What a policy's ``config.json`` rules out: a stage's lengths and settings against the model's. No weight is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judgerlvr.config.schema import Cluster
from judgerlvr.hysparse.replay.served import check_kernels
from judgerlvr.models.configuration import CONFIG, ENGINE, model_context, read_config
from judgerlvr.models.tensors import QUANTISED
from rewards.errors import InputError

# What carries a HySparse rollout's block indices to the trainer.
CARRIERS = ("kv_transfer_config", "async_scheduling")


def check_context(directory: Path, longest: int) -> None:
    """Raise an InputError for prompt and response that are longer than the policy's context.

    verl compares with the plain length of config.json, whatever stretches the rotary embedding.
    """
    context = model_context(directory)
    if context is not None and context < longest:
        remedy = "lower max_prompt_tokens or max_response_tokens"
        raise InputError(f"context of {context} tokens < {longest} needed", remedy, file=directory)


def check_engine_context(directory: Path, cluster: Cluster) -> None:
    """Raise an InputError for a context of the rollout engine that vLLM would refuse for this policy."""
    asked, context = cluster.rollout_engine.get(ENGINE), model_context(directory)
    if type(asked) is not int or context is None:
        return
    stretched = int(context * _stretch(read_config(directory)))
    if asked > stretched:
        problem = f"{asked}, and the policy's context is {stretched} tokens"
        raise InputError(problem, "leave it out", field=f"cluster.rollout_engine.{ENGINE}")


def _stretch(config: Mapping[str, Any]) -> float:
    """The factor by which rotary scaling stretches the context, as vLLM counts the factor."""
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    factor = rope.get("factor") if isinstance(rope, Mapping) else None
    return float(factor) if isinstance(factor, int | float) else 1.0


def check_trainable(directory: Path) -> None:
    """Raise an InputError for quantised weights, which can be sampled from and not trained."""
    if read_config(directory).get(QUANTISED):
        remedy = "give the policy in bfloat16 or float32"
        raise InputError("quantised weights are not trained", remedy, file=directory, field=QUANTISED)


def check_hysparse(directory: Path, cluster: Cluster, device: str) -> None:
    """Raise an InputError for settings under which a HySparse policy's block indices would not reach the trainer.

    Layers without kernels are refused too, unless ``device`` is cpu.
    """
    config = read_config(directory)
    if config.get("model_type") != "hysparse":
        return
    check_kernels(config, directory / CONFIG, device)
    for name in CARRIERS:
        if name in cluster.rollout_engine:
            problem = "HySparse rollouts return their block indices through it"
            raise InputError(problem, "leave it out", field=f"cluster.rollout_engine.{name}")
    if cluster.sequence_parallel > 1:
        problem = "HySparse needs whole rows on each rank"
        raise InputError(problem, "set 1", field="cluster.sequence_parallel")
    if cluster.tensor_parallel > cluster.gpus_per_node:
        problem = "a HySparse rollout engine would span machines, whose block indices are not gathered"
        raise InputError(problem, f"set at most {cluster.gpus_per_node}", field="cluster.tensor_parallel")
