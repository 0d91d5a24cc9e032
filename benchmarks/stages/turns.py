"""Two training runs that step in turn. A run waits while the other steps, so both see the same machine."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from verl.utils.dataset.rl_dataset import RLHFDataset

POLL_SECONDS = 0.005
TURN = "turn"


def give_turn(folder: Path, name: str) -> None:
    """Let ``name`` step. The file is replaced at once, so a reader never sees half a name."""
    temporary = folder / f".{TURN}"
    temporary.write_text(name, encoding="utf-8")
    temporary.replace(folder / TURN)


def has_turn(folder: Path, name: str) -> bool:
    path = folder / TURN
    return path.exists() and path.read_text(encoding="utf-8") == name


class TurnTaking(RLHFDataset):
    """verl's dataset. The fetch of a step's first prompt ends the turn of the step before and waits for the next turn.

    Everything between two fetches counts as the step: sampling, grading, training, weight sync, logging, hooks.
    """

    def __init__(self, *args: Any, config: Any, **kwargs: Any) -> None:
        super().__init__(*args, config=config, **kwargs)
        self.folder = Path(config.turns.folder)
        self.name, self.other = str(config.turns.name), str(config.turns.other)
        self.prompts_per_step = int(config.train_batch_size)
        self.fetched = 0

    def __getitem__(self, item: int) -> Any:
        if self.fetched % self.prompts_per_step == 0:
            self._step_begins()
        self.fetched += 1
        return super().__getitem__(item)

    def _step_begins(self) -> None:
        if self.fetched:
            self._log("end")
            # Alone again, a run keeps its turn.
            give_turn(self.folder, self.name if (self.folder / f"{self.other}.done").exists() else self.other)
        else:
            (self.folder / f"{self.name}.ready").touch()
        while not has_turn(self.folder, self.name):
            time.sleep(POLL_SECONDS)
        self._log("start")

    def _log(self, event: str) -> None:
        with (self.folder / f"{self.name}.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({event: time.monotonic()}) + "\n")
