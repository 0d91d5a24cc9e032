"""The libraries that processes of a stage import, for a fork server. A start on few cores is mostly imports."""

from __future__ import annotations

from typing import Literal

from judgerlvr.cluster.environment import environment
from judgerlvr.cluster.forking.start import start_server

LIBRARIES = (
    "verl.trainer.main_ppo",
    "verl.trainer.ppo.v1",
    "verl.workers.engine_workers",
    "verl.experimental.reward_loop",
    "verl.workers.rollout.vllm_rollout.vllm_async_server",
    "vllm",
    "vllm.v1.engine.core",
    "judgerlvr.engine.in_training.trainer",
    "judgerlvr.engine.in_training.agent_loop",
    "judgerlvr.engine.private.agent_workers",
    "judgerlvr.engine.private.engines",
    "judgerlvr.hysparse.registration",
    "judgerlvr.pipeline.command",
    "judgerlvr.evaluation.command",
)


def import_once(device: Literal["cpu", "gpu"], ray_address: str | None) -> None:
    """Let this command's further Python processes on this machine be forks of one that has imported the libraries.

    Nothing on a GPU: there cores are many, and a driver's state does not survive a fork. Nothing in a cluster of
    others: its workers are started by the cluster.
    """
    if device == "cpu" and not ray_address:
        start_server(LIBRARIES, environment(device, 1.0))
