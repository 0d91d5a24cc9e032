"""Steps that measure: the trainer computes old log-probabilities, so that rollout and trainer can be compared.

Other steps take the rollout's log-probabilities as old ones, which verl calls bypass. On a GPU every step measures.
"""

from __future__ import annotations

from judgerlvr.config.load import engine_keys
from judgerlvr.runs.stage import Stage
from rewards.errors import InputError

# verl's keys of rollout correction, and verl's key that this module decides.
CORRECTION = "algorithm.rollout_correction"
BYPASS = f"{CORRECTION}.bypass_mode"


def bypasses(stage: Stage) -> bool:
    """Whether there are steps that do not measure."""
    return stage.settings.algorithm.old_log_probs_every > 1 and stage.device == "cpu"


def measures(stage: Stage, step: int) -> bool:
    """Whether a step measures. The number of the step decides, so that a resumed run measures the same steps."""
    return not bypasses(stage) or step == 1 or step % stage.settings.algorithm.old_log_probs_every == 0


def check_bypass(stage: Stage) -> None:
    """Check that nothing needs the trainer's old log-probabilities in every step.

    Raises:
        InputError: naming the key that needs them.
    """
    if stage.settings.algorithm.old_log_probs_every == 1:
        return
    remedy = f"leave the key out, or set {stage.kind}.algorithm.old_log_probs_every=1"
    for key in engine_keys(stage.config.engine):
        if f"{key}.".startswith(f"{CORRECTION}."):
            problem = "corrects by old log-probabilities, which not every step computes"
            raise InputError(problem, remedy, field=f"engine.{key}")
    if stage.chooses_blocks and not stage.config.hysparse.replay:
        problem = "compares choices by old log-probabilities, which not every step computes"
        raise InputError(problem, remedy, field="hysparse.replay")
