"""Differences between a CPU-only machine and GPU workers: verl settings and environment, nothing else."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

from judgerlvr.cluster.environment import CPU_PAGE, environment
from judgerlvr.cluster.ray import cluster_arguments, worker_python
from judgerlvr.config.check import gpus_of_machine
from judgerlvr.config.choices import Recompute
from judgerlvr.config.schema import PACKED as PACKED
from judgerlvr.config.schema import Cluster
from judgerlvr.runs.stage import Stage

ACTOR = "actor_rollout_ref.actor"
ROLLOUT = "actor_rollout_ref.rollout"
MODEL = "actor_rollout_ref.model"
WORKER_EXTENSION = f"{ROLLOUT}.engine_kwargs.vllm.worker_extension_cls"
# Names of our engines among verl's: ``private.training_engine``, and ``private.block_engine`` for HySparse.
TRAINING, REPLAYING, COMPARING = "judgerlvr", "judgerlvr_replaying", "judgerlvr_comparing"
# ``private.expert_engine``, for router replay.
EXPERTS = "judgerlvr_experts"
# ``private.separate_weights`` among verl's checkpoint engines, and verl's own for GPUs.
GLOO, NCCL = "judgerlvr_gloo", "nccl"

# Names the folder of ``worker_reports`` to a worker's process.
REPORTS = "JUDGERLVR_WORKER_REPORTS"
# Tell the trainer's workers keys of ``cluster`` that verl does not have.
RECOMPUTE = "JUDGERLVR_RECOMPUTE"
COMPILE = "JUDGERLVR_COMPILE"
SHARE_PREFIXES = "JUDGERLVR_SHARE_PREFIXES"
# Marks the sockets of a run, which lie in a folder of the whole machine.
SOCKETS = "JUDGERLVR_SOCKETS"


def stage_environment(stage: Stage) -> dict[str, str]:
    """Environment of a stage. verl picks its training engine by a variable that names a vendor."""
    cluster = stage.config.cluster
    base = environment(stage.device, cluster.rollout_cpu_gib, gpus_of_machine(cluster))
    return base | {
        "VERL_ENGINE_VENDOR": engine_name(stage),
        REPORTS: str(reports_folder(stage.run_dir)),
        RECOMPUTE: recompute(stage).value,
        COMPILE: str(stage.config.cluster.compile),
        SOCKETS: hashlib.sha256(str(stage.run_dir.resolve()).encode()).hexdigest()[:12],
        SHARE_PREFIXES: str(shares_prefixes(stage)),
    }


def recompute(stage: Stage) -> Recompute:
    """What updates of this stage compute again, never ``auto``."""
    asked = stage.config.cluster.recompute
    if asked is not Recompute.auto:
        return asked
    return Recompute.none if stage.device == "cpu" else Recompute.all


def shares_prefixes(stage: Stage) -> bool:
    """Whether the trainer computes each distinct prefix once. Nobody has measured sharing on a GPU."""
    return stage.config.cluster.share_prefixes and stage.device == "cpu"


def reports_folder(run_dir: Path) -> Path:
    return run_dir / "workers"


def engine_name(stage: Stage) -> str:
    """The training engine that this stage needs, by verl's name for the engine."""
    if not stage.chooses_blocks:
        return EXPERTS if stage.replays_experts else TRAINING
    return REPLAYING if stage.config.hysparse.replay else COMPARING


def profile(stage: Stage) -> dict[str, Any]:
    """verl keys (``+``: not in its config tree) of the stage's device."""
    engine = stage.config.cluster.rollout_engine
    further = {f"+{ROLLOUT}.engine_kwargs.vllm.{name}": value for name, value in engine.items()}
    return (_cpu(stage) if stage.device == "cpu" else _gpu(stage)) | further


def attention(cluster: Cluster, device: str) -> str:
    """transformers' attention: flash-attention where installed and on a GPU, else our own.

    Our own alone has the exchange of ``cluster.sequence_parallel``.
    """
    if cluster.attention != "auto":
        return cluster.attention
    flash = device == "gpu" and cluster.sequence_parallel == 1 and importlib.util.find_spec("flash_attn") is not None
    return "flash_attention_2" if flash else PACKED


def _cpu(stage: Stage) -> dict[str, Any]:
    longest = stage.config.max_prompt_tokens + stage.config.longest_sampled(stage.kind)
    fp32 = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
    page = {} if stage.model_type == "hysparse" else {f"+{ROLLOUT}.engine_kwargs.vllm.block_size": CPU_PAGE}
    return page | {
        f"{MODEL}.use_remove_padding": True,
        f"{MODEL}.enable_gradient_checkpointing": recompute(stage) is not Recompute.none,
        f"{ACTOR}.fsdp_config.dtype": "float32",
        f"+{ACTOR}.fsdp_config.mixed_precision": fp32,
        f"{ROLLOUT}.dtype": "float32",
        f"{ROLLOUT}.enforce_eager": True,
        # vLLM has no sleep mode on a CPU, so neither cache nor weights are given back.
        f"{ROLLOUT}.free_cache_engine": False,
        f"+{ROLLOUT}.enable_sleep_mode": False,
        f"{ROLLOUT}.agent.num_workers": 1,
        f"{ROLLOUT}.max_num_seqs": 256,
        # vLLM rewinds the generator of a seeded request whose prompt was cut in chunks. torch's CPU generator
        # cannot be rewound, and whole prompts need no rewinding.
        f"{ROLLOUT}.enable_chunked_prefill": False,
        f"{ROLLOUT}.max_num_batched_tokens": max(8192, longest),
        f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes": 32,
        f"+{WORKER_EXTENSION}": "judgerlvr.engine.on_cpu.vllm_cpu.CpuWorkerExtension",
        f"+{ROLLOUT}.engine_kwargs.vllm.distributed_executor_backend": "uni",
        "reward.num_workers": 1,
        "transfer_queue.backend.SimpleStorage.num_data_storage_units": 1,
        "trainer.device": "cpu",
    }


def _gpu(stage: Stage) -> dict[str, Any]:
    cluster = stage.config.cluster
    return {
        f"{MODEL}.use_remove_padding": True,
        f"{MODEL}.enable_gradient_checkpointing": recompute(stage) is not Recompute.none,
        f"{ACTOR}.fsdp_config.param_offload": cluster.offload,
        f"{ACTOR}.fsdp_config.optimizer_offload": cluster.offload,
        f"{ROLLOUT}.gpu_memory_utilization": cluster.rollout_gpu_share,
        f"{ROLLOUT}.tensor_model_parallel_size": cluster.tensor_parallel,
        f"+{WORKER_EXTENSION}": "judgerlvr.engine.private.rollout_worker.RolloutWorker",
        "trainer.device": "cuda",
    }


def ray_init(stage: Stage) -> dict[str, Any]:
    """The same for verl's configuration, with the environment of its workers."""
    env = stage_environment(stage)
    processes = gpus_of_machine(stage.config.cluster)
    arguments = cluster_arguments(stage.device, stage.ray_address, processes) | {"runtime_env.env_vars": env}
    if program := worker_python(stage.device, stage.ray_address):
        arguments["runtime_env.py_executable"] = program
    return {f"+ray_kwargs.ray_init.{name}": value for name, value in arguments.items()}
