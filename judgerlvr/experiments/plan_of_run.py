"""The plan's word on a run folder, found by the place of the folder."""

from __future__ import annotations

from pathlib import Path

from judgerlvr.experiments.plan import PLAN, Plan, read_plan, seed_folders, shown_names
from judgerlvr.reporting.planned import Planned
from rewards.errors import InputError


def planned_run(folder: Path) -> Planned | None:
    """What the plan beside a run, or above the run's seed, says of the run. None for a run of no plan."""
    place = folder.absolute()
    for home in (place.parent, place.parent.parent):
        plan = _plan_in(home)
        if plan and any(seed == place.parent for _, seed in seed_folders(plan, home)):
            return runs_of(plan).get(place.name)
    return None


def runs_of(plan: Plan) -> dict[str, Planned]:
    """Every run of a plan by name, in the plan's order."""
    found: dict[str, Planned] = {}
    for name, arm in plan.arms.items():
        *before, last = zip(arm.stages, shown_names(name, arm.stages), strict=True)
        found |= {stage.name: Planned(shown, last=False) for stage, shown in before}
        found[last[0].name] = Planned(name, match=arm.match, by=arm.by.value)
    return found


def _plan_in(home: Path) -> Plan | None:
    """The plan in a folder. A file of this name that is no plan is another's."""
    try:
        return read_plan(home / PLAN) if (home / PLAN).is_file() else None
    except InputError:
        return None
