"""Evaluated policies of one seed of the plan ``tiny_pairs.yaml``, and the figures of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
}
# The runs of which an arm consists.
RUNS = {"JudgeRLVR": ("judge", "generate"), "vanilla": ("vanilla",), "penalty": ("penalty",)}
PAIR = ("JudgeRLVR", "vanilla")


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


def seed_folders(experiments: Sequence[Path]) -> Iterator[tuple[int, Path]]:
    """(seed, folder) of all seeds whose pair is evaluated, by seed."""
    found = [(int(place.name.split("-")[1]), place) for out in experiments for place in out.glob("seed-*")]
    for seed, place in sorted(found):
        if all((place / EVALUATIONS[name] / SUMMARY).is_file() for name in PAIR):
            yield seed, place


def figures_of(place: Path) -> dict[str, Figures]:
    """Figures of the policies that are evaluated."""
    return {name: _figures(place / path) for name, path in EVALUATIONS.items() if (place / path / SUMMARY).is_file()}


def _figures(folder: Path) -> Figures:
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


def spent_of(place: Path) -> dict[str, dict[str, float]]:
    """Steps, generated tokens (candidates included) and seconds of each arm that has ended."""
    ended = {arm: runs for arm, runs in RUNS.items() if (place / EVALUATIONS[arm] / SUMMARY).is_file()}
    return {arm: asdict(total(place / run for run in runs)) for arm, runs in ended.items()}
