"""Evaluated policies of one seed, and the figures of each.

The arms are those of ``configs/experiments/tiny_pairs.yaml``. The arm ``shuffled`` has a plan and folders of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.stages.seed_pairs.entropy_search import Point
from judgerlvr.evaluation.outputs import SUMMARY
from judgerlvr.experiments.spent import total
from judgerlvr.reporting.answer import tokens_of
from judgerlvr.reporting.evaluations import Result, read_evaluation

# The folder of each policy's evaluation below the seed's folder.
EVALUATIONS = {
    "base": "judge/eval/base",
    "after judge": "judge/eval/final",
    "JudgeRLVR": "generate/eval/final",
    "vanilla": "vanilla/eval/final",
    "penalty": "penalty/eval/final",
    "after shuffled judge": "judge-shuffled/eval/final",
    "shuffled": "generate-shuffled/eval/final",
}
# The runs of which an arm consists.
RUNS = {
    "JudgeRLVR": ("judge", "generate"),
    "vanilla": ("vanilla",),
    "penalty": ("penalty",),
    "shuffled": ("judge-shuffled", "generate-shuffled"),
}
PAIR = ("JudgeRLVR", "vanilla")
# Policies of the plan ``configs/experiments/tiny_pairs_shuffled.yaml``.
OF_SHUFFLED = ("after shuffled judge", "shuffled")


@dataclass(frozen=True)
class Figures:
    """One policy on the held-out problems of its seed. Shares are of all samples, ``entropy`` in nats a token."""

    accuracy: float
    tokens: float
    truncated: float
    entropy: float
    greedy: float
    greedy_tokens: float
    judging: float  # balanced accuracy

    @property
    def point(self) -> Point:
        return Point(1.0, self.entropy, self.accuracy, self.tokens)


@dataclass(frozen=True)
class Place:
    """Where a seed lies: the folder of its pair, and the folder of its shuffled arm if that has run."""

    pair: Path
    shuffled: Path | None = None

    def evaluation(self, name: str) -> Path | None:
        """The folder of a policy's evaluation, None unless the evaluation has ended."""
        within = self.shuffled if name in OF_SHUFFLED else self.pair
        folder = within and within / EVALUATIONS[name]
        return folder if folder and (folder / SUMMARY).is_file() else None


def places(experiments: Sequence[Path]) -> dict[int, Place]:
    """The seeds whose pair is evaluated, in order."""
    found = [(int(folder.name.split("-")[1]), folder) for out in experiments for folder in out.glob("seed-*")]
    pairs = {seed: folder for seed, folder in sorted(found) if all(Place(folder).evaluation(name) for name in PAIR)}
    shuffled = {seed: folder for seed, folder in found if Place(folder, folder).evaluation("shuffled")}
    return {seed: Place(folder, shuffled.get(seed)) for seed, folder in pairs.items()}


def figures_of(place: Place) -> dict[str, Figures]:
    """Figures of the policies that are evaluated."""
    return {name: figures(folder) for name in EVALUATIONS if (folder := place.evaluation(name))}


def figures(folder: Path) -> Figures:
    """Figures of one evaluation."""
    found = read_evaluation(folder, with_samples=False)
    (sampled,), (greedy,) = found.rows("generate", greedy=False), found.rows("generate", greedy=True)
    judge = found.row("judge")
    return Figures(
        accuracy=sampled.accuracy.value,
        tokens=mean_tokens(sampled),
        truncated=sampled.truncated / sampled.samples,
        entropy=sampled.entropy or 0.0,
        greedy=greedy.accuracy.value,
        greedy_tokens=mean_tokens(greedy),
        judging=judge.judging.balanced_accuracy.value if judge and judge.judging else float("nan"),
    )


def mean_tokens(row: Result) -> float:
    """Mean length of all responses.

    Raises:
        ValueError: the responses carry no lengths.
    """
    if (mean := tokens_of(row)) is None:
        raise ValueError(f"{row.set}: no lengths")
    return mean.value


def spent_of(place: Place) -> dict[str, dict[str, float]]:
    """Steps, generated tokens (candidates included) and seconds of each arm that has ended."""
    ended = {arm: folder for arm in RUNS if (folder := place.evaluation(arm))}
    # RUN/eval/final lies three folders below the seed.
    return {arm: asdict(total(folder.parents[2] / run for run in RUNS[arm])) for arm, folder in ended.items()}
