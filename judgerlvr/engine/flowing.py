"""Asynchronous rollouts: sampling flows on over the updates, so that no step waits for its longest response.

A response that new weights interrupt goes on with the new weights. What is in flight is saved with each checkpoint.
"""

from __future__ import annotations

from judgerlvr.config.check import refresh_every
from judgerlvr.config.choices import TrainerMode
from judgerlvr.runs.request import Place
from judgerlvr.runs.stage import Stage
from rewards.errors import InputError

FIELD = "cluster.trainer_mode"


def flows(stage: Stage) -> bool:
    return stage.config.cluster.trainer_mode is not TrainerMode.sync


def separates(place: Place) -> bool:
    """Whether the rollout has devices of its own."""
    return place.config.cluster.trainer_mode is TrainerMode.separate_async


def check_flow(stage: Stage) -> None:
    """Check that nothing of the run needs whole responses of one version of the weights.

    Raises:
        InputError: naming the key, and what to set.
    """
    if not flows(stage):
        return
    if stage.chooses_blocks:
        raise InputError("the choices of a HySparse rollout end with an update", "set it to sync", field=FIELD)
    if stage.replays_experts:
        problem = "router replay needs the experts of whole responses"
        raise InputError(problem, f"set model.replay_experts=false, or {FIELD}=sync", field=FIELD)
    if stage.kind == "judge" and refresh_every(stage.config.judge.data.candidates):
        problem = "prompts in flight would judge candidates of before the refresh"
        raise InputError(problem, f"set judge.data.candidates=fixed, or {FIELD}=sync", field=FIELD)
