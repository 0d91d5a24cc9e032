"""The command ``python -m judgerlvr.plan``: a dry run's checks and plan, for a policy of which config.json is there."""

from __future__ import annotations

import argparse
from pathlib import Path

from judgerlvr.config.choices import Device
from judgerlvr.config.effective import configure
from judgerlvr.config.load import resolve_path
from judgerlvr.pipeline.configured import check_policy, check_stage_settings
from judgerlvr.planning.machine import Machine, machine_of
from judgerlvr.planning.plan import make_plan
from judgerlvr.planning.report import plan_lines, require_room
from judgerlvr.planning.scaling_report import distributions, numbers_of, page
from judgerlvr.planning.shapes import ModelShape, read_shape
from judgerlvr.runs.request import Request, default_link
from rewards.errors import InputError

# Options that an option leaves no meaning to.
EXCLUDED = {"phases": ("gpus", "lengths", "mean", "tail"), "lengths": ("mean", "tail")}


def print_plan(options: argparse.Namespace, gpus: str, tails: str) -> None:
    """Print the plan by phase with ``--phases``, else a row for each number of GPUs. ``gpus`` and ``tails`` are
    taken where the command line has none.

    Raises:
        InputError: options that exclude each other, whatever a dry run refuses, or a stage that does not fit.
    """
    check_options(options)
    config = configure(options.config, options.overrides, None).config
    policy = resolve_path(config.model.path).resolve()
    shape, machine = read_shape(policy), machine_of(config.planning, Path(config.runs), "gpu")
    request = Request(options.stage, config, policy, default_link(options.stage), "gpu")
    check_policy(request)
    check_stage_settings(request, cluster=options.phases)
    if options.phases:
        _print_phases(request, shape, machine)
        return
    limit, counts = request.settings.max_response_tokens, numbers_of(gpus if options.gpus is None else options.gpus)
    lengths = distributions(options.lengths, options.mean, tails if options.tail is None else options.tail, limit)
    for line in page(options.stage, config, shape, machine, counts, lengths):
        print(line, flush=True)


def check_options(options: argparse.Namespace) -> None:
    """Refuse options that would have no effect.

    Raises:
        InputError: naming both options.
    """
    for name, excluded in EXCLUDED.items():
        given = [other for other in excluded if getattr(options, other) is not None]
        if getattr(options, name) and given:
            raise InputError(f"has no effect beside --{name}", "leave out one of the two", field=f"--{given[0]}")


def _print_phases(request: Request, shape: ModelShape, machine: Machine) -> None:
    if request.config.cluster.device is Device.cpu:
        raise InputError("phases are planned for GPUs", "set gpu, or give a stage --dry-run", field="cluster.device")
    plan = make_plan(request.kind, request.config, shape, machine)
    print("\n".join(plan_lines(plan)), flush=True)
    require_room(plan.shortfalls, plan.change)
