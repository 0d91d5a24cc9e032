"""Each option and key that takes a path, with each kind of wrong path."""

import json
import os
from pathlib import Path

from tests.helpers.model_damage import BASE

# What a path leads to, as the text to be given.
KINDS = ("missing", "folder", "empty", "binary", "loop", "dangling", "pipe", "device", "long", "tilde", "process")


def make(kind: str, folder: Path, suffix: str = "") -> str:
    """Make the path of a kind in ``folder``. ``suffix`` is what the option's files end with."""
    path = folder / f"odd{suffix}"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "binary":
        path.write_bytes(bytes(range(256)) * 16)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind in ("loop", "dangling", "device"):
        path.symlink_to({"loop": path.name, "dangling": "nowhere", "device": "/dev/null"}[kind])
    others = {"long": str(folder / ("x" * 300 + suffix)), "tilde": f"~nobody/odd{suffix}"}
    return others.get(kind, f"/proc/self/odd{suffix}" if kind == "process" else str(path))


ELSEWHERE = ("missing", "folder", "tilde")
# Option or key -> (command, suffix, text of the argument, kinds that are rightly accepted). A run's folder may be new.
PLACES = {
    "--config": ("generate", ".yaml", "--config {}", ()),
    "--init": ("generate", "", "--init {}", ()),
    "--out": ("generate", "", "--out {}", ("missing", "tilde")),
    "--resume": ("generate", "", "--resume {}", ()),
    "runs": ("generate", "", "runs={}", ELSEWHERE),
    "model.path": ("generate", "", "model.path={}", ()),
    "data.prompt": ("generate", ".txt", "data.prompt={}", ()),
    "judge.data.prompt": ("judge", ".txt", "judge.data.prompt={}", ()),
    "data.train": ("generate", ".jsonl", "data.train=[{}]", ()),
    "data.heldout": ("generate", ".jsonl", "data.train=[good.jsonl] data.heldout=[{}]", ()),
    "data.evaluation": ("generate", ".parquet", "data.evaluation=[{}]", ()),
    "judge.data.responses": ("judge", ".jsonl", "judge.data.responses=[{}]", ()),
    "judge.data.sample_from": ("judge", "", "judge.data.sample_from=[{}]", ()),
    "generate.stop.tokens_of": ("generate", "", "generate.stop.tokens_of=[{}]", (*ELSEWHERE, "process")),
    "planning.measured": ("generate", ".json", "planning.measured={}", ()),
    "evaluate --model": ("evaluate", "", "--model {} --data good.jsonl", ()),
    "evaluate --data": ("evaluate", ".jsonl", f"--model {BASE} --data {{}}", ()),
    "evaluate --responses": ("evaluate", ".jsonl", "--responses {}", ()),
    "report": ("report", "", "{}", ()),
}


def arguments(place: str, kind: str, folder: Path) -> tuple[str, list[str], bool]:
    """(command, its arguments, whether the kind is rightly accepted) in ``folder``, which is the working folder."""
    rows = [{"problem": f"{number}+1?", "gold": str(number + 1)} for number in range(40)]
    (folder / "good.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command, suffix, text, accepted = PLACES[place]
    given = text.format(make(kind, folder, suffix)).split()
    preset = [] if place in ("--config", "--resume") else ["--config", "configs/tiny.yaml"]
    dry = [] if place == "--resume" else ["--dry-run"]
    return command, [*preset, *dry, *given] if command in ("judge", "generate") else given, kind in accepted
