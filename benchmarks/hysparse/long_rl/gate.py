"""A data set that waits for a turn before the prompts of each step.

Two stages start side by side, which saves a start of a minute or two, and then step in turn. `turns.py` grants
the turns. Both stages have started before the first turn. No two steps share the machine.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from verl.utils.dataset.rl_dataset import RLHFDataset

from benchmarks.hysparse.long_rl.turns import FOLDER, NAME, PROMPTS, RUN, Turn
from judgerlvr.runs.metrics import METRICS, read_metrics


class GatedDataset(RLHFDataset):
    """verl's data set of prompts. Reading the first prompt of a step asks for a turn and waits for the turn."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.read, self.begun = 0, -1

    def __getitem__(self, item: int) -> Any:
        if self.read % int(os.environ[PROMPTS]) == 0:
            self.wait()
        self.read += 1
        return super().__getitem__(item)

    def wait(self) -> None:
        """Wait for the turn and write down the seconds, which are a part of the step that verl times."""
        if self.begun < 0:  # A resumed run has rows of earlier steps.
            self.begun = sum(row.is_training for row in read_metrics(Path(os.environ[RUN]) / METRICS))
        step = self.begun + self.read // int(os.environ[PROMPTS]) + 1
        since = time.time()
        Turn(Path(os.environ[FOLDER]), os.environ[NAME]).take()
        row = {"step": step, "asked": since, "granted": time.time(), "first": self.read == 0}
        with (Path(os.environ[FOLDER]) / f"{os.environ[NAME]}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
