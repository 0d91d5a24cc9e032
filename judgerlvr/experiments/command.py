"""An experiment from a plan: every seed in turn, in one folder that a second call continues."""

from __future__ import annotations

import os
from itertools import zip_longest
from pathlib import Path

from omegaconf import OmegaConf

from judgerlvr.config.load import load_config, resolve_path
from judgerlvr.engine.forked_imports import import_once
from judgerlvr.experiments.arms_of_seed import ArmsOfSeed
from judgerlvr.experiments.checks import check_plan
from judgerlvr.experiments.cluster_room import arms_at_once
from judgerlvr.experiments.commands import Call, Room, call
from judgerlvr.experiments.over_seeds import write_over_seeds
from judgerlvr.experiments.plan import PLAN, Plan, seed_folders
from judgerlvr.experiments.restarts import Restarts
from judgerlvr.experiments.room import room_here
from judgerlvr.experiments.schedule import carry_out
from judgerlvr.models.directory import check_model, pick_device
from judgerlvr.models.finite import check_finite
from judgerlvr.models.places import check_output_apart
from rewards.errors import InputError, reading


def run_experiment(plan: Plan, out: Path, restarts: int = 0, at_once: int = 1) -> None:
    """Train, evaluate and report what the plan asks for. A folder that holds the same plan is continued.

    Commands that fail are given again, ``restarts`` times in all. On a cluster ``at_once`` arms may train at once.

    Raises:
        InputError: a bad configuration or override, or a folder of something else.
        CommandFailed: a stage, an evaluation or the report failed.
    """
    address = os.environ.get("RAY_ADDRESS")
    config = load_config(plan.config, plan.overrides)
    device = pick_device(config.cluster.device, True, address)
    policies = policies_of(plan)
    for policy in policies:
        # Before the folder is taken: no stage has begun, so that a wrong model is bad input.
        check_model(policy, 1, config.model.trust_remote_code)
        check_finite(policy)
    check_output_apart(out, policies)
    check_plan(plan, out)
    arms = arms_at_once(at_once, plan, out, device, address)
    runs = seeds_of(plan, out, room_here(device, address, policies), Restarts(call, restarts))
    take_folder(plan, out)
    import_once(device, address)
    if arms > 1:
        carry_out([job for one in runs for job in one.trainings()], arms)
    for one in runs:
        # An evaluation takes a card that Ray knows nothing of, so no arm may train beside one.
        one.finish() if arms > 1 else one.run()
        # After each seed, since seeds take long.
        write_over_seeds(plan, out)


def policies_of(plan: Plan) -> list[Path]:
    """Model directories that the stages of a plan begin with or sample candidates from."""
    words = [(), *([*arm.overrides, *stage.overrides] for arm in plan.arms.values() for stage in arm.stages)]
    configs = [load_config(plan.config, [*plan.overrides, *own]) for own in words]
    return sorted({resolve_path(path) for c in configs for path in (c.model.path, *c.judge.data.sample_from)})


def seeds_of(plan: Plan, out: Path, room: Room, call: Call) -> list[ArmsOfSeed]:
    """The arms of each seed, with configurations that were read. Several seeds have a folder each."""
    return [ArmsOfSeed(plan, place, seed, call, room) for seed, place in seed_folders(plan, out)]


def take_folder(plan: Plan, out: Path) -> None:
    """Make the folder, or find the same plan in the folder."""
    kept, text = out / PLAN, OmegaConf.to_yaml(OmegaConf.structured(plan))
    if kept.is_file():
        with reading("holds a plan that cannot be read", "give another --out", file=kept):
            before = kept.read_text(encoding="utf-8")
        if before != text:
            remedy = "give these as they were, or another --out"
            raise InputError(f"holds another plan ({first_difference(before, text)})", remedy, file=kept)
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("exists and holds no experiment", "give another --out", file=out)
    out.mkdir(parents=True, exist_ok=True)
    kept.write_text(text, encoding="utf-8")


def first_difference(before: str, now: str) -> str:
    """The first place where two plans differ, such as a base in a checkout that was moved."""
    lines = zip_longest(before.splitlines(), now.splitlines(), fillvalue="no line")
    there, here = next(
        ((one.strip(), two.strip()) for one, two in lines if one != two), ("line ends", "other line ends")
    )
    return f"there: {there}, now: {here}"
