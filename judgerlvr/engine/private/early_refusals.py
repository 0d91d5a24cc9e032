"""verl's own code, run on a few numbers at the start, so that verl refuses a setting before anything is sampled.

verl does not promise to keep these helpers. Whatever they raise is the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf


def try_classes(config: DictConfig) -> None:
    """Make verl's dataclasses, which check their fields when they are made."""
    from verl.utils.config import omega_conf_to_dataclass

    for section in ("actor_rollout_ref.actor", "actor_rollout_ref.rollout", "algorithm"):
        omega_conf_to_dataclass(OmegaConf.select(config, section))


def try_optimizer(config: DictConfig) -> None:
    """Make the optimizer of one weight and the cosine schedule, and take a step.

    verl's other schedule has no settings of its own.
    """
    import torch
    from verl.utils.config import omega_conf_to_dataclass
    from verl.utils.torch_functional import get_cosine_schedule_with_warmup
    from verl.workers.config.optimizer import build_optimizer

    wanted = omega_conf_to_dataclass(config.actor_rollout_ref.actor.optim)
    weight = torch.nn.Parameter(torch.ones(1))
    weight.grad = torch.ones(1)
    optimizer = build_optimizer([weight], wanted)
    schedule = get_cosine_schedule_with_warmup(
        optimizer=optimizer,
        num_warmup_steps=wanted.lr_warmup_steps,
        num_training_steps=config.trainer.total_training_steps,
        min_lr_ratio=wanted.min_lr_ratio,
        num_cycles=wanted.num_cycles,
        zero_indexed_step=wanted.zero_indexed_step,
    )
    optimizer.step()
    schedule.step()


def try_loss(config: DictConfig) -> None:
    """Compute the policy loss of a few tokens."""
    import torch
    from verl.trainer.ppo.core_algos import get_policy_loss_fn
    from verl.utils.config import omega_conf_to_dataclass

    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    tokens = torch.full((2, 3), -1.0)
    loss = get_policy_loss_fn(actor.policy_loss.loss_mode)
    loss(tokens, tokens, tokens, torch.ones(2, 3), actor.loss_agg_mode, config=actor)


def try_correction(config: DictConfig) -> None:
    """Correct a few tokens whose two log-probabilities are equal. Such tokens must not all be rejected.

    Raises:
        ValueError: the settings do nothing, or reject everything.
    """
    import torch
    from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_and_rejection_mask

    asked: dict[str, Any] = OmegaConf.to_container(config.algorithm.rollout_correction)  # type: ignore[assignment]
    if asked["rollout_rs_threshold"] is not None and asked["rollout_rs"] is None:
        raise ValueError("rollout_rs_threshold does nothing without rollout_rs")
    if asked["rollout_is_batch_normalize"] and asked["rollout_is"] is None:
        raise ValueError("rollout_is_batch_normalize does nothing without algorithm.importance_cap")
    tokens, kept = torch.full((2, 3), -1.0), torch.ones(2, 3)
    names = ("rollout_is", "rollout_is_threshold", "rollout_is_batch_normalize", "rollout_rs", "rollout_rs_threshold")
    given = {name: asked[name] for name in names}
    _, left, _ = compute_rollout_correction_and_rejection_mask(tokens, tokens, kept, **given)
    if not left.any():
        raise ValueError("it rejects samples whose two log-probabilities are equal, so that no sample is left")


def try_rows(config: DictConfig) -> None:
    """Load the class that reads the rows.

    Raises:
        ValueError: half of the class's name is missing.
    """
    from verl.utils.dataset.rl_dataset import get_dataset_class

    if (config.data.custom_cls.path is None) != (config.data.custom_cls.name is None):
        raise ValueError("data.custom_cls needs both a path and a name")
    get_dataset_class(config.data)


# By the section that a trial is about.
TRIALS: dict[str, tuple[Callable[[DictConfig], None], ...]] = {
    "actor_rollout_ref.actor.optim": (try_optimizer,),
    "actor_rollout_ref.actor": (try_classes, try_loss),
    "actor_rollout_ref.rollout": (try_classes,),
    "algorithm": (try_classes, try_correction),
    "data.custom_cls": (try_rows,),
}


def refusal(config: DictConfig, section: str) -> str | None:
    """What verl says against the settings of a section of ``TRIALS``, in one line."""
    try:
        for trial in TRIALS[section]:
            trial(config)
    except errors() as error:
        return said_by(error)
    return None


def errors() -> tuple[type[Exception], ...]:
    """Errors by which verl and a user's own file of rows refuse a setting. Any would end the run later."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    own = (HydraException, OmegaConfBaseException, AssertionError, ArithmeticError, AttributeError, ImportError)
    return *own, LookupError, NameError, OSError, RuntimeError, SyntaxError, TypeError, ValueError


def said_by(error: BaseException) -> str:
    """The text of an error, or the kind of an error without text. Hydra wraps verl's own errors."""
    while type(error).__module__.startswith("hydra") and error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:200] or f"a check of its own fails ({type(error).__name__})"
