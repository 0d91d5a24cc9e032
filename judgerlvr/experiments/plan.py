"""A plan: arms of an experiment as lists of stages, seeds, matched budgets, and the evaluation of every arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from pathlib import Path

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from judgerlvr.config.documents import load_tree
from judgerlvr.config.domains import SEED
from judgerlvr.config.effective import TINY
from judgerlvr.config.load import resolve_path
from judgerlvr.evaluation.options import BOUNDS
from judgerlvr.experiments.plan_values import BASE as BASE
from judgerlvr.experiments.plan_values import MOST_STEPS, check_all_differ, check_name, check_number, check_words
from judgerlvr.experiments.plan_values import PLAN as PLAN
from judgerlvr.experiments.plan_values import REPORT as REPORT
from rewards.errors import InputError

# OmegaConf lets YAML's own errors and bad bytes pass through. A file of a lone number is an OSError there.
UNREADABLE = (OSError, YAMLError, OmegaConfBaseException, UnicodeDecodeError, ValueError)

MOST_STEPS_UNLESS_TOLD = 3.0


class Kind(Enum):
    judge = "judge"
    generate = "generate"


class Budget(Enum):
    """What two arms have in common: generated tokens, training steps, or hours of the stages."""

    tokens = "tokens"
    steps = "steps"
    hours = "hours"


@dataclass
class StagePlan:
    """A stage of an arm. ``name`` is the run's name, and ``overrides`` are ``key=value`` of this stage alone."""

    stage: Kind = MISSING
    name: str = MISSING
    overrides: list[str] = field(default_factory=list)


@dataclass
class ArmPlan:
    """Stages of an arm, in order, each from the policy of the stage before.

    ``match`` names an earlier arm. The last stage then ends at the budget of that arm, counted ``by`` tokens, steps or
    hours, with the arm's own earlier stages included. Steps are at most ``most_steps`` times the steps of that arm.
    """

    stages: list[StagePlan] = MISSING
    overrides: list[str] = field(default_factory=list)
    match: str = ""
    by: Budget = Budget.tokens
    most_steps: float = MOST_STEPS_UNLESS_TOLD


@dataclass
class EvaluationPlan:
    """Held-out problems that every policy solves, and samples a problem. ``data`` adds files of problems."""

    problems: int = 200
    samples: int = 4
    data: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """``seeds`` empty: the configuration's seed, and no folder a seed."""

    arms: dict[str, ArmPlan] = MISSING
    config: str = TINY
    overrides: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    evaluation: EvaluationPlan = field(default_factory=EvaluationPlan)

    @property
    def stages(self) -> Iterator[StagePlan]:
        return (stage for arm in self.arms.values() for stage in arm.stages)

    @property
    def shown_names(self) -> list[str]:
        """Names in reports: one a stage, with the arm's name for the last, and one of checkpoints at equal steps."""
        return [name for arm, plan in self.arms.items() for name in _all_names(arm, plan.stages)]


def shown_names(arm: str, stages: Sequence[StagePlan]) -> list[str]:
    """Names of an arm's stages in the report."""
    return [*(f"after {stage.name}" for stage in stages[:-1]), *([arm] if stages else [])]


def at_equal_steps(arm: str) -> str:
    """Name of the checkpoint at which an arm has trained as often as its matched arm."""
    return f"{arm} at equal steps"


def _all_names(arm: str, stages: Sequence[StagePlan]) -> list[str]:
    return [*shown_names(arm, stages), at_equal_steps(arm)]


def plan_or_pipeline(path: Path) -> Plan:
    """The plan of a YAML file. A configuration file gives both stages and the evaluation of each policy.

    Raises:
        InputError: as ``read_plan``.
    """
    return read_plan(path) if _is_plan(resolve_path(path)) else replace(_pipeline(), config=str(path))


def _is_plan(found: Path) -> bool:
    """Whether a file has a key of a plan. A file that cannot be read is a plan too, whose reader names the fault."""
    try:
        tree = load_tree(found)
    except UNREADABLE:
        return True
    return not isinstance(tree, DictConfig) or any(one.name in tree for one in fields(Plan))


def _pipeline() -> Plan:
    stages = [StagePlan(kind, kind.value) for kind in Kind]
    return Plan(arms={"JudgeRLVR": ArmPlan(stages)})


def read_plan(path: Path) -> Plan:
    """The checked plan of a YAML file.

    Raises:
        InputError: no such file, not YAML, an unknown or missing key, or arms that do not fit together.
    """
    found = resolve_path(path)
    if not found.is_file():
        raise InputError("no such plan", "give a YAML file, such as configs/experiments/demo.yaml", file=path)
    try:
        tree = OmegaConf.merge(OmegaConf.structured(Plan), load_tree(found))
        plan = OmegaConf.to_object(tree)
    except UNREADABLE as error:
        raise InputError(" ".join(str(error).split()), "mend the plan", file=path) from error
    assert isinstance(plan, Plan)
    _check(plan, path)
    return plan


def seed_folders(plan: Plan, out: Path) -> list[tuple[int | None, Path]]:
    """(seed, folder) of each seed. A single seed, or the configuration's own, lies in ``out`` itself."""
    if len(plan.seeds) < 2:
        return [(plan.seeds[0] if plan.seeds else None, out)]
    return [(seed, out / f"seed-{seed}") for seed in plan.seeds]


def runs_in(folder: Path) -> list[Path]:
    """Folders of all runs of an experiment's plan, begun or not. Another folder is a run itself.

    Raises:
        InputError: the plan in the folder cannot be read.
    """
    if not (folder / PLAN).is_file():
        return [folder]
    plan = read_plan((folder / PLAN).absolute())
    return [place / stage.name for _, place in seed_folders(plan, folder) for stage in plan.stages]


def _check(plan: Plan, path: Path) -> None:
    """Refuse what no stage could use, before any stage is at work."""
    if not plan.arms:
        raise InputError("no arm", "name at least one arm", file=path, field="arms")
    check_words(plan.overrides, path, "overrides")
    check_words(plan.evaluation.data, path, "evaluation.data")
    check_all_differ([stage.name for stage in plan.stages], "stage", path)
    check_all_differ([BASE, *plan.shown_names], "arm", path)
    for place, seed in enumerate(plan.seeds):
        check_number(seed, SEED, path, f"seeds[{place}]")
    if len(set(plan.seeds)) < len(plan.seeds):
        raise InputError("a seed stands twice", "name each seed once", file=path, field="seeds")
    check_number(plan.evaluation.problems, BOUNDS["limit"], path, "evaluation.problems")
    check_number(plan.evaluation.samples, BOUNDS["n"], path, "evaluation.samples")
    seen: list[str] = []
    for name, arm in plan.arms.items():
        _check_arm(name, arm, seen, path)
        # An arm can match an arm that stands before, because the budget must be spent by then.
        seen.append(name)


def _check_arm(name: str, arm: ArmPlan, seen: list[str], path: Path) -> None:
    where = f"arms.{name[:40]}"
    check_name(name, path, where)
    if not arm.stages:
        raise InputError("no stage", "name at least one stage", file=path, field=where)
    check_words(arm.overrides, path, f"{where}.overrides")
    for stage in arm.stages:
        check_name(stage.name, path, f"{where}.stages")
        check_words(stage.overrides, path, f"{where}.stages.overrides")
    _check_budget(arm, seen, path, where)


def _check_budget(arm: ArmPlan, seen: list[str], path: Path, where: str) -> None:
    """Refuse a budget that no stage could take, and keys of a budget that nothing would read."""
    if not arm.match and (arm.most_steps != MOST_STEPS_UNLESS_TOLD or arm.by is not Budget.tokens):
        remedy = "name the arm to match, or leave by and most_steps out"
        raise InputError("a budget without match", remedy, file=path, field=where)
    if arm.match and arm.match not in seen:
        remedy = f"name an arm that stands before: {', '.join(seen) or 'none'}"
        raise InputError(f"matches {arm.match!r}", remedy, file=path, field=where)
    # A matched budget is set by keys of the generate stage.
    if arm.match and arm.stages[-1].stage is Kind.judge:
        raise InputError(
            "a judge stage ends a matched arm", "end the arm with a generate stage", file=path, field=where
        )
    check_number(arm.most_steps, MOST_STEPS, path, f"{where}.most_steps")
