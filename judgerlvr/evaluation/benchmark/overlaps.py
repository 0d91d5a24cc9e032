"""Problems of a benchmark that were trained on, and problems that two tasks share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from data.decontaminate import EvaluationIndex
from data.normalised_tokens import normalised_tokens
from data.row_files import iter_rows
from data.template_text import find_template
from judgerlvr.evaluation.tasks.files import TaskData
from judgerlvr.runs.manifest import MANIFEST, read_manifest
from judgerlvr.runs.policy_card import read_card
from judgerlvr.runs.stage import DATA
from rewards.types import Problem

TRAIN = "train.parquet"


@dataclass(frozen=True)
class TrainingSet:
    """The problems that a run trained on. ``problems`` is None where the run's data are gone, or name no problem."""

    run: str
    problems: list[Problem] | None


@dataclass(frozen=True)
class Found:
    """``count`` of ``of`` problems of ``task`` occur in ``where``. ``count`` is None where nobody can say."""

    task: str
    where: str
    count: int | None
    of: int


def training_sets(model: Path) -> Iterator[TrainingSet]:
    """Training sets of the run that made a model, of the run behind that run, and so on."""
    seen: set[Path] = set()
    folder = _run_of(model)
    while folder is not None and folder not in seen:
        seen.add(folder)
        file = folder / DATA / TRAIN
        yield TrainingSet(folder.name, _problems(file) if file.is_file() else None)
        parent = read_manifest(folder).parent.path
        folder = _run_of(Path(parent)) if parent else None


def _run_of(model: Path) -> Path | None:
    return next((folder for folder in model.resolve().parents if (folder / MANIFEST).is_file()), None)


def _problems(file: Path) -> list[Problem] | None:
    """Each problem text of a file of training rows, once. None without any text."""
    texts = dict.fromkeys(filter(None, (_text(located.row.get("extra_info")) for located in iter_rows(file))))
    return [Problem(str(place), text) for place, text in enumerate(texts)] or None


def _text(info: Any) -> str:
    return str(info.get("problem") or "") if isinstance(info, Mapping) else ""


def with_training(model: Path, tasks: Mapping[str, TaskData]) -> list[Found]:
    """Overlaps of every task with every training set behind a model."""
    found = []
    for training in training_sets(model):
        index = None if training.problems is None else EvaluationIndex(training.problems)
        for name, data in tasks.items():
            count = None if index is None else repeated(data.problems, index)
            found.append(Found(name, training.run, count, len(data.problems)))
    return found


def between_tasks(tasks: Mapping[str, TaskData]) -> list[Found]:
    """Pairs of tasks that share problems."""
    indexes = {name: EvaluationIndex(data.problems) for name, data in tasks.items()}
    found = [
        Found(a, b, repeated(tasks[a].problems, indexes[b]), len(tasks[a].problems)) for a, b in combinations(tasks, 2)
    ]
    return [pair for pair in found if pair.count]


def repeated(problems: Sequence[Problem], index: EvaluationIndex) -> int:
    """How many problems repeat a problem of the index, as ``data.decontaminate`` compares problems."""
    rows = [normalised_tokens(problem.text) for problem in problems]
    template = find_template(rows)
    return sum(index.match(template.strip(row)) is not None for row in rows)


def origin_lines(model: Path) -> list[str]:
    """Lines for the console: the card of a model, and whether its training sets are known."""
    card = read_card(model)
    lines = [f"  card: {card.stage}, parent {card.parent_hash[:12]}" if card else "  card: none"]
    if _run_of(model) is None:
        lines.append("  no run folder around the model: overlaps with its training data are not known")
    return lines
