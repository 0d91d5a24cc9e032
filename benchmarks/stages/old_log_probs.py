"""Learning with old log-probabilities of the trainer and of the rollout, seed by seed, in both stages.

    python -m benchmarks.stages.old_log_probs OUT [--seeds 0,1,2,3,4] [--steps 6] [key=value ...]

Each run is the stage's own command. In the arm ``trainer`` every step computes old log-probabilities, in the arm
``rollout`` the first step alone. Both arms of a seed run at once. Stage 1 reads written candidates, and stage 2 starts
from the judge of its own arm. Finished runs stay, so that the same call goes on. The command prints a table of each
stage: means over the seeds, and the mean difference rollout - trainer with its 95 % interval (t, over seeds).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import stats

from judgerlvr.cli import MODULES
from judgerlvr.engine.forked_imports import import_once
from judgerlvr.experiments.commands import call, together
from judgerlvr.runs.metrics import ACCURACY, METRICS, REWARD, merge_steps, read_metrics
from tests.helpers.stage_runs import write_candidates

ARMS = {"trainer": 1, "rollout": 10**6}
SETTINGS = {
    "judge": ("batch.prompts_per_step=8", "data.heldout_problems=10", "data.cap_per_problem=3"),
    "generate": ("batch.prompts_per_step=8",),
}


@dataclass(frozen=True)
class Trial:
    """All runs of a call below ``out``. ``overrides`` are those of the command line."""

    out: Path
    seeds: Sequence[int]
    steps: int
    overrides: Sequence[str]

    def folder(self, arm: str, seed: int) -> Path:
        return self.out / f"{arm}-{seed}"

    def train(self, arm: str, seed: int) -> None:
        """Both stages of an arm, unless they are done."""
        init: list[str] = []
        for stage in SETTINGS:
            policy = str(self.folder(arm, seed) / f"{stage}-policy")
            if not Path(policy).exists():
                words = ["--config", "configs/tiny.yaml", "--new", "--out", policy, *init]
                call(MODULES[stage], *words, *self.settings(arm, seed, stage), label=f"{arm} {seed}")
            init = ["--init", policy]

    def settings(self, arm: str, seed: int, stage: str) -> list[str]:
        own = [
            *SETTINGS[stage],
            "algorithm.importance_cap=0",
            f"stop.steps={self.steps}",
            f"algorithm.old_log_probs_every={ARMS[arm]}",
        ]
        files = [f"judge.data.responses=[{self.out / 'candidates.jsonl'}]", f"runs={self.folder(arm, seed)}"]
        return [*(f"{stage}.{setting}" for setting in own), *files, f"seed={seed}", *self.overrides]

    def curve(self, arm: str, stage: str, metric: str) -> np.ndarray:
        """[seeds, steps]: the metric of each training step, of the seeds whose runs are done in both arms."""
        return np.array([list(self._values(arm, seed, stage, metric)) for seed in self.done()])

    def _values(self, arm: str, seed: int, stage: str, metric: str) -> Iterator[float]:
        rows = merge_steps(read_metrics(self.folder(arm, seed) / stage / METRICS))
        return (row.values[metric] for row in rows if row.is_training)

    def done(self) -> list[int]:
        last = [*SETTINGS][-1]
        return [
            seed for seed in self.seeds if all((self.folder(arm, seed) / f"{last}-policy").exists() for arm in ARMS)
        ]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", default="0,1,2,3,4", help="seeds, with commas between (default %(default)s)")
    parser.add_argument("--steps", type=int, default=6, help="steps of each stage (default %(default)s)")
    parser.add_argument("--table", action="store_true", help="print the tables of finished seeds, and train nothing")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser.parse_intermixed_args()


def interval(differences: np.ndarray) -> str:
    """Mean of the values [seeds] and half the width of its 95 % interval."""
    half = stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / len(differences) ** 0.5
    return f"{differences.mean():+.3f} ± {half:.3f}"


def table(trial: Trial, stage: str) -> Iterator[str]:
    """A row for each step, and one for the mean over all steps but the first, in which the arms are alike."""
    yield f"\n{stage}, seeds {trial.done()}\n"
    yield "| step | accuracy, trainer | rollout | difference | reward, trainer | rollout | difference |"
    yield "| --- " * 7 + "|"
    curves = [[trial.curve(arm, stage, metric.name) for arm in ARMS] for metric in (ACCURACY, REWARD)]
    places = [(str(step + 1), slice(step, step + 1)) for step in range(trial.steps)]
    for name, place in [*places, (f"2 to {trial.steps}", slice(1, None))]:
        cells = [name]
        for ours, theirs in ([curve[:, place].mean(axis=1) for curve in pair] for pair in curves):
            cells += [f"{ours.mean():.3f}", f"{theirs.mean():.3f}", interval(theirs - ours)]
        yield "| " + " | ".join(cells) + " |"


def main() -> None:
    options = parse_arguments()
    out = options.out.resolve()
    trial = Trial(out, [int(seed) for seed in options.seeds.split(",")], options.steps, options.overrides)
    out.mkdir(parents=True, exist_ok=True)
    if not options.table and not (out / "candidates.jsonl").exists():
        write_candidates(out / "candidates.jsonl")
    if not options.table:
        import_once("cpu", None)
    for seed in [] if options.table else trial.seeds:
        together([partial(trial.train, arm, seed) for arm in ARMS], len(ARMS))
    for stage in SETTINGS:
        print("\n".join(table(trial, stage)))


if __name__ == "__main__":
    main()
