"""Environment variables of every process that samples or trains. torch, vLLM, verl and Ray read them at their start."""

from __future__ import annotations

import os

# Replaced by a driver and its workers in the same way, whoever started Ray.
COMMON = {
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    # Top-k and top-p are never used, and without flashinfer installed vLLM would not start.
    "VLLM_USE_FLASHINFER_SAMPLER": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}
# verl's name of the kind of machine, which the workers on a CPU are told.
PLATFORM, CPU = "VERL_PLATFORM", "cpu"
CPU_TRAINING = {
    PLATFORM: CPU,
    # Names the plugin where judgerlvr is on the path but not installed, as in a packed Ray job.
    "VERL_USE_EXTERNAL_MODULES": "judgerlvr.engine.on_cpu.plugin",
    # verl registers its FSDP engine for cuda and npu only. The engine's code runs on any torch device.
    "VERL_ENGINE_DEVICE": "cuda",
    "RAY_memory_monitor_refresh_ms": "0",
    # Ray runs its workers at niceness 15, behind everything else on the machine.
    "RAY_worker_niceness": "0",
}


# The number of threads of a process that computes on a CPU.
CPU_THREADS = "OMP_NUM_THREADS"
# torch's variable by which every function stays as written.
NO_COMPILER = "TORCH_COMPILE_DISABLE"

# Tokens of a page of a CPU engine's cache. Sampling took 0.9 of the processor seconds of vLLM's 128, with the same
# bits, at 192 samples of 75 tokens. HySparse models keep vLLM's size, since a page must hold whole selection blocks.
CPU_PAGE = 32


def on_cpu() -> bool:
    """Whether this process was told to train on a CPU."""
    return os.environ.get(PLATFORM) == CPU


def cpu_sampling(kv_cache_gib: float, engines: int = 1) -> dict[str, str]:
    """Variables of each of ``engines`` vLLM engines on a CPU: one process, its part of half of the cores, not pinned.

    With a thread on every core each barrier waits for other work of the machine.
    Two threads on two busy cores were 5 to 20 times slower than one.
    """
    return {
        CPU_THREADS: str(max(1, (os.cpu_count() or 2) // 2 // engines)),
        "VLLM_CPU_KVCACHE_SPACE": str(max(1, round(kv_cache_gib))),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        # vLLM compiles one small function otherwise, which needs a C++ compiler and seconds of each engine's start.
        NO_COMPILER: "1",
    }


def environment(device: str, kv_cache_gib: float, ranks: int = 1) -> dict[str, str]:
    """Variables of the driver and of every worker of a stage. The cache's GiB and ``ranks`` count on a CPU only."""
    return COMMON if device == "gpu" else COMMON | CPU_TRAINING | cpu_sampling(kv_cache_gib, ranks)


def prepare_environment() -> bool:
    """Set the variables of an engine in this process, leaving what the user has set. Returns True on a CPU."""
    # A plain CUDA check would start the driver here, and an engine forked from this process could not use a GPU.
    # vLLM sets this variable on import. That is too late, since vLLM's import depends on the answer.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    import torch

    on_cpu = not torch.cuda.is_available()
    for name, value in cpu_sampling(1.0).items() if on_cpu else ():
        os.environ.setdefault(name, value)
    if on_cpu:
        torch.set_num_threads(int(os.environ[CPU_THREADS]))
    return on_cpu
