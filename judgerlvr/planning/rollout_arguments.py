"""What ``cluster.rollout_engine`` and the section ``engine`` change of a plan. Nothing else of the planner reads these.

An argument of vLLM wins over the key of this product or of verl that has the same meaning, as in a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from judgerlvr.config.choices import TrainerMode
from judgerlvr.config.load import engine_keys
from judgerlvr.config.schema import PACKED, Cluster
from rewards.errors import InputError

# verl's limit on the sequences that an engine runs at once (rollout.max_num_seqs).
MAX_SEQUENCES = 256
WHERE = "cluster.rollout_engine"
SHARE, SHARE_ARGUMENT = "cluster.rollout_gpu_share", f"{WHERE}.gpu_memory_utilization"
CACHE = f"{WHERE}.kv_cache_memory_bytes"
CONTEXT = f"{WHERE}.max_model_len"
# vLLM's name first.
SLOTS = (f"{WHERE}.max_num_seqs", "engine.actor_rollout_ref.rollout.max_num_seqs")
COUNTED = (SHARE_ARGUMENT, CACHE, CONTEXT, *SLOTS)
# Arguments of vLLM that change neither memory nor slots by more than a plan's error.
NEUTRAL = {
    "async_scheduling",
    "attention_backend",
    "disable_log_stats",
    "distributed_executor_backend",
    "generation_config",
    "logprobs_mode",
    "scheduling_policy",
    "stream_interval",
}
# Sections of verl that hold neither sizes of models nor of batches.
NEUTRAL_OF_VERL = ("engine.algorithm.rollout_correction.", "engine.data.")


def rollout_fields(cluster: Cluster, engine: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of ``Load`` that these arguments decide.

    Raises:
        InputError: a value that is no number of the argument's kind.
    """
    given = _given(cluster, engine)
    share = _number(given, SHARE_ARGUMENT, whole=False)
    return {
        "rollout_share": cluster.rollout_gpu_share if share is None else share,
        "share_key": SHARE if share is None else SHARE_ARGUMENT,
        # vLLM reads 0 as no number of bytes.
        "kv_cache_bytes": int(_number(given, CACHE, least=0) or 0),
        "engine_context": int(_number(given, CONTEXT) or 0),
        "slots": int(next((found for name in SLOTS if (found := _number(given, name)) is not None), MAX_SEQUENCES)),
    }


def uncounted(cluster: Cluster, engine: Mapping[str, Any], device: Literal["cpu", "gpu"]) -> list[str]:
    """Names of given keys that may change memory or time and that the plan does not count."""
    counted = COUNTED if device == "gpu" else ()
    neutral = {f"{WHERE}.{name}" for name in NEUTRAL}
    found = [name for name in _given(cluster, engine) if name not in counted and name not in neutral]
    return [*_uncounted_of_cluster(cluster), *(name for name in found if not name.startswith(NEUTRAL_OF_VERL))]


def uncounted_lines(names: list[str]) -> list[str]:
    """The line of a plan that names the keys, no line where there is none."""
    return [f"not counted, though memory or time may change: {', '.join(names)}"] if names else []


def _uncounted_of_cluster(cluster: Cluster) -> Iterator[str]:
    attention = cluster.attention
    # Other attentions than these may hold a number for each pair of tokens.
    if attention not in ("auto", PACKED) and "flash" not in attention:
        yield "cluster.attention"
    if cluster.trainer_mode is TrainerMode.colocate_async:
        yield "cluster.trainer_mode"


def _given(cluster: Cluster, engine: Mapping[str, Any]) -> dict[str, Any]:
    """Both sections by whole names. verl leaves out arguments of vLLM without a value."""
    arguments = {f"{WHERE}.{name}": value for name, value in cluster.rollout_engine.items() if value is not None}
    return arguments | {f"engine.{name}": value for name, value in engine_keys(engine).items()}


def _number(given: Mapping[str, Any], name: str, whole: bool = True, least: int = 1) -> float | None:
    """The value of ``name``, None where there is none. ``whole``: a whole number, else a share of a card."""
    value = given.get(name)
    if value is None:
        return None
    wanted = isinstance(value, int) if whole else isinstance(value, int | float)
    if isinstance(value, bool) or not wanted or not (value >= least if whole else 0 < value <= 1):
        remedy = f"give a whole number from {least} on" if whole else "give a number above 0 and at most 1"
        raise InputError(repr(value), remedy, field=name)
    return value
