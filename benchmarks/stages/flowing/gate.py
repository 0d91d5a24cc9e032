"""A data set that makes its run wait for a turn between two steps, while the rollout engines sleep.

A synchronous step and an asynchronous one both end with the handover of the new weights. At that moment nothing is
sampled and nothing is trained in either mode. The first prompt of a run waits for a turn, and then each handover.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from verl.checkpoint_engine import CheckpointEngineManager
from verl.utils.dataset.rl_dataset import RLHFDataset

from benchmarks.hysparse.long_rl.turns import FOLDER, NAME, Turn


class GatedHandover(RLHFDataset):
    """verl's data set of prompts. Its process waits for turns, and writes down when it asked and was granted."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.begun = False

    def __getitem__(self, item: int) -> Any:
        if not self.begun:
            self.begun = True
            wait()
            gate_handovers()
        return super().__getitem__(item)


def gate_handovers() -> None:
    """Let every further handover of weights in this process wait for a turn first."""
    plain = CheckpointEngineManager.update_weights

    def gated(self: CheckpointEngineManager, *arguments: Any, **settings: Any) -> Any:
        wait()
        return plain(self, *arguments, **settings)

    CheckpointEngineManager.update_weights = gated


def wait() -> None:
    asked, folder, name = time.time(), Path(os.environ[FOLDER]), os.environ[NAME]
    Turn(folder, name).take()
    with (folder / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps({"asked": asked, "granted": time.time()}) + "\n")
