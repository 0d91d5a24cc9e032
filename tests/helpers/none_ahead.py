"""A data set whose trainer samples no prompts ahead: each step trains on responses of its own weights."""

from typing import Any

from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.dataset.rl_dataset import RLHFDataset


class NoneAhead(RLHFDataset):
    """verl makes the data set in the trainer's process, before training begins."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        PPOTrainer._add_async_warmup_batches = lambda trainer, batches: None
