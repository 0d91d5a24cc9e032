"""What the runs and the arms cost: steps, tokens, and hours of GPUs or of CPU machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from judgerlvr.config.check import gpus_of_machine
from judgerlvr.reporting.arms import Arm, last_step, main_arms, parent_of, tokens_at
from judgerlvr.reporting.parts import ABSENT, Cell, Table, count, number
from judgerlvr.reporting.runs import Run
from judgerlvr.reporting.same_time import NOT_COMPARABLE, from_base, marked
from judgerlvr.runs.metrics import training_seconds

RUN_HEAD = (
    "run",
    "steps",
    "generated tokens",
    "of these, judge candidates",
    "training (hours)",
    "devices",
    "device time (hours)",
    "evaluation tokens",
)
RUN_NOTE = (
    "Training time runs from the start of the engines to the last step, resumed parts included. Candidates and "
    f"evaluations are not in the hours. A device is a GPU, or a whole machine on CPUs. {NOT_COMPARABLE}"
)
ARM_NOTE = (
    "Tokens include the candidates of a judging stage, and hours do not include them. A wait for another run's tokens "
    f"counts. {NOT_COMPARABLE}"
)
ARM_HEAD = ("arm", "run", "steps", "generated tokens", "device time (hours)")


def run_costs(runs: Sequence[Run]) -> Table:
    """One row a run, of its own cost alone."""
    return Table("Cost of each run", RUN_HEAD, [_run_row(run, runs) for run in runs], RUN_NOTE)


def _run_row(run: Run, runs: Sequence[Run]) -> list[Cell]:
    candidates = run.manifest.counts.get("candidate_tokens") if run.manifest else None
    seconds = training_seconds(run.metrics) if run.metrics else None
    hours = device_hours(run)
    return [
        Cell(run.name),
        count(last_step(run)),
        count(tokens_at(run, None)),
        count(candidates) if candidates is not None else Cell("none"),
        marked(number(None if seconds is None else seconds / 3600), [run], runs),
        ABSENT if run.manifest is None else Cell(f"{devices(run)} {unit(run)}"),
        marked(number(hours), [run], runs),
        count(sum(measured.generated_tokens for measured in run.evaluations)),
    ]


def unit(run: Run) -> str:
    """``GPU`` or ``CPU machine``."""
    return "GPU" if run.manifest and run.manifest.device == "gpu" else "CPU machine"


def devices(run: Run) -> int:
    """GPUs that the configuration asks for, or machines without GPUs. 1 without a configuration."""
    if run.config is None:
        return 1
    cluster = run.config.cluster
    return cluster.nodes * (gpus_of_machine(cluster) if unit(run) == "GPU" else 1)


def device_hours(run: Run) -> float | None:
    """Training time times devices, None for a run without a step."""
    return training_seconds(run.metrics) / 3600 * devices(run) if run.metrics else None


def arm_costs(arms: Sequence[Arm], runs: Sequence[Run]) -> Iterator[Table]:
    """One row an arm, from the base model on. An arm of two stages costs both. Nothing without arms."""
    rows = [
        [
            Cell(arm.name),
            Cell(arm.run.name),
            count(arm.steps),
            count(arm.tokens),
            _hours(arm, runs),
        ]
        for arm in main_arms(arms)
    ]
    if rows:
        yield Table("Cost of each arm from the base model on", ARM_HEAD, rows, ARM_NOTE)


def _hours(arm: Arm, runs: Sequence[Run]) -> Cell:
    if arm.steps == 0:
        return Cell("0.000")
    return marked(number(hours_from_base(arm.run, runs)), list(from_base(arm.run, runs)), runs)


def hours_from_base(run: Run, runs: Sequence[Run]) -> float | None:
    """Device hours of the run and of its ancestors among the runs."""
    own, parent = device_hours(run), parent_of(run, runs)
    before = hours_from_base(parent, runs) if parent else 0.0
    return None if own is None or before is None else own + before
