"""Stand-ins for the product's commands, for plans that are carried out without training."""

import json
from pathlib import Path

import pytest

from judgerlvr.experiments import command
from judgerlvr.experiments.commands import ALONE
from judgerlvr.runs.checkpoints import SEAL
from judgerlvr.runs.metrics import MEAN_TOKENS, METRICS, StepRow
from rewards.errors import CommandFailed

JUDGE = {"steps": 4, "tokens": 100, "seconds": 36.0}
GENERATE = {"steps": 6, "tokens": 900, "seconds": 324.0}


def finished_run(folder, steps, tokens, seconds):
    """What a finished stage leaves that budgets are read from."""
    checkpoint = folder / "checkpoints" / f"global_step_{steps}"
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / SEAL).write_text(json.dumps({"generated_tokens": tokens}))
    row = StepRow(steps, "generate", seconds, {MEAN_TOKENS.name: 60.0})
    (folder / METRICS).write_text(row.to_json() + "\n")


class Commands:
    """Stands for the product's commands: records the words, and leaves what a finished command leaves."""

    def __init__(self):
        self.seen, self.fails_at = [], None

    def __call__(self, module, *words):
        words = list(map(str, words))
        self.seen.append((module, words))
        if self.fails_at == len(self.seen):
            raise CommandFailed("stopped")
        if module.startswith("stage"):
            runs, name = (next(w.partition("=")[2] for w in words if w.startswith(key)) for key in ("runs=", "name="))
            finished_run(Path(runs) / name, **(JUDGE if name == "judge" else GENERATE))
        if module == "evaluate":
            folder = Path(words[words.index("--out") + 1])
            folder.mkdir(parents=True)
            (folder / "summary.json").write_text('{"results": []}')


@pytest.fixture
def commands(monkeypatch):
    made = Commands()
    monkeypatch.setattr(command, "call", made)
    monkeypatch.setattr(command, "import_once", lambda device, address: None)
    monkeypatch.setattr(command, "room_here", lambda *_: ALONE)
    return made
