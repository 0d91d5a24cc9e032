"""Checks of a plan that come before any stage starts and before any folder is made.

A stage makes the same checks at its own start, which for a last arm may be days later.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data.importing.options import ReadOptions
from data.problems import read_problem_set
from data.row_files import iter_rows
from judgerlvr.config.check import check_config
from judgerlvr.config.domains import MOST
from judgerlvr.config.load import load_config
from judgerlvr.config.schema import Config, Data
from judgerlvr.experiments.plan import ArmPlan, Budget, Kind, Plan, StagePlan
from judgerlvr.pipeline.checkup.findings import examine
from judgerlvr.pipeline.checkup.start import START
from judgerlvr.pipeline.checkup.subject import Subject
from judgerlvr.pipeline.requests import unchecked_request
from rewards.errors import InputError
from rewards.verifier import load_verifier

# Of the checks of a start: what needs neither the policy of the stage before nor a running cluster.
AREAS = ("model", "verifier", "prompt", "budget")
CHECKS = [check for check in START if check.area in AREAS]


def check_plan(plan: Plan, out: Path) -> None:
    """Try all that a plan will ask of stages and evaluations.

    Raises:
        InputError: the first fault, with the arm or file that holds the fault.
    """
    _check_own_keys(plan)
    seen: list[tuple[Kind, Config]] = []
    for name, arm in plan.arms.items():
        for stage in arm.stages:
            config = stage_config(plan, out, name, arm, stage)
            _check_once(stage.stage, config, seen)
        _check_steps(plan, name, arm, out)
    _check_evaluation(plan, seen)


def _check_own_keys(plan: Plan) -> None:
    """Refuse overrides of all arms that the plan's own names and seeds would replace in silence."""
    own = {"name": "each stage has the plan's name", **({"seed": "the plan has seeds"} if plan.seeds else {})}
    for word in plan.overrides:
        if why := own.get(word.partition("=")[0].strip()):
            raise InputError(f"{word[:40]}: {why}", "leave it out", field="overrides")


def has_heldout(data: Data) -> bool:
    """Whether a generate stage holds problems out. Own training problems bring their own held-out problems."""
    return bool(data.heldout or not data.train)


def stage_words(plan: Plan, out: Path, arm: ArmPlan, stage: StagePlan) -> list[str]:
    """The overrides of a stage with the plan's first seed, in the order of the stage's command."""
    seed = [f"seed={plan.seeds[0]}"] if plan.seeds else []
    return [
        *(f"runs={out}", *plan.overrides, *seed, f"name={stage.name}"),
        *(*arm.overrides, *stage.overrides),
    ]


def stage_config(plan: Plan, out: Path, name: str, arm: ArmPlan, stage: StagePlan) -> Config:
    """The configuration of a stage with the plan's first seed.

    Raises:
        InputError: a bad override, or an override of what the experiment itself sets.
    """
    config = load_config(plan.config, stage_words(plan, out, arm, stage))
    wanted: dict[str, str | int] = {"name": stage.name, "runs": str(out.expanduser().absolute())}
    wanted |= {"seed": plan.seeds[0]} if plan.seeds else {}
    for key, value in wanted.items():
        if getattr(config, key) != value:
            problem = f"stage {stage.name} would have {key}={getattr(config, key)}, and the plan gives {value}"
            raise InputError(problem, f"take {key} out of the overrides", field=f"arms.{name}")
    return config


def _check_once(kind: Kind, config: Config, seen: list[tuple[Kind, Config]]) -> None:
    """Check a stage, unless a stage with the same settings was checked."""
    known = (kind, replace(config, name=""))
    if known in seen:
        return
    seen.append(known)
    check_config(config)
    # The base stands for the policy of the stage before, which has the same files and lengths.
    request = unchecked_request(kind.value, config, None, None, here=False)
    for _ in examine(CHECKS, Subject(request, here=False)):
        pass
    data, own = config.data, config.judge.data.responses if kind is Kind.judge else []
    for path in (*data.train, *data.heldout, *data.evaluation, *own):
        check_rows(path)


def check_rows(path: str) -> None:
    """Raise an InputError for a source whose first row cannot be read."""
    next(iter_rows(path))


def _check_steps(plan: Plan, name: str, arm: ArmPlan, out: Path) -> None:
    """Refuse a bound on steps that no stage could take."""
    if not arm.match or arm.by is Budget.steps:
        return
    other = plan.arms[arm.match]
    configs = [(stage, stage_config(plan, out, arm.match, other, stage)) for stage in other.stages]
    steps = math.ceil(arm.most_steps * sum(config.settings(stage.stage.value).stop.steps for stage, config in configs))
    if steps > MOST:
        problem = f"most_steps allows {steps:,} steps"
        raise InputError(problem, f"at most {MOST:,} are possible: lower most_steps", field=f"arms.{name}")


def _check_evaluation(plan: Plan, seen: Sequence[tuple[Kind, Config]]) -> None:
    """Read the files of the evaluation as the evaluation will.

    Raises:
        InputError: a faulty file, or no held-out problem at all.
    """
    first = next((config for kind, config in seen if kind is Kind.generate), None)
    if not plan.evaluation.data and first and not has_heldout(first.data):
        remedy = "give data.heldout, or files of problems in evaluation.data"
        raise InputError("no held-out problems to evaluate on", remedy, field="evaluation")
    configs = [config for _, config in seen]
    for path in plan.evaluation.data:
        for needed in sorted({load_verifier(config.reward.verifier).needs_gold for config in configs}):
            read_problem_set(path, ReadOptions(need_gold=needed))
