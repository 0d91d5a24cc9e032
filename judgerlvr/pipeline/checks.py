"""Constraints of a stage's numbers, checked at its start, before it goes on, and in a dry run."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet

from judgerlvr.cluster.ray import cluster_arguments, resources_of
from judgerlvr.config.check import gpus_of_machine
from judgerlvr.engine.flowing import check_flow
from judgerlvr.engine.loop_of_your_own import check_agent_loop
from judgerlvr.engine.measured_steps import check_bypass
from judgerlvr.planning.constraints import Node, check_constraints
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import machine_of, visible_cards
from judgerlvr.planning.plan import make_plan
from judgerlvr.planning.shapes import known_shape
from judgerlvr.planning.storage import storage, storage_shortfalls
from judgerlvr.runs.checkpoints import complete
from judgerlvr.runs.request import Place, Request, make_stage
from judgerlvr.runs.stage import Stage
from rewards.errors import InputError


def check_start(request: Request) -> None:
    """Check all that can be told before the stage's data exists.

    Raises:
        InputError: a number that verl, vLLM or Ray would stumble over later, or a faulty section ``engine``,
            or a setting that needs old log-probabilities which not every step computes.
    """
    load = load_of(request.kind, request.config)
    check_constraints(load, known_shape(request.init), request.device, offered(request))
    # The reward does not exist yet, and the checks do not read the reward.
    stage = make_stage(request, Path(request.config.runs), load.prompts, reward_function=":")
    check_keys(stage)


def check_keys(stage: Stage) -> None:
    """Check keys that need or exclude each other, as far as the policy decides, agent loop and section ``engine``.

    Raises:
        InputError: router replay of another policy, a setting that needs old log-probabilities, an unknown key, or an
            agent loop that cannot run.
    """
    # Reading the property checks the policy's type.
    _ = stage.replays_experts
    check_bypass(stage)
    check_flow(stage)
    check_agent_loop(stage)
    if stage.config.engine:
        # The module brings torch, and a plan without such keys needs none.
        from judgerlvr.pipeline.engine_keys import check_section

        check_section(stage)


def check_stage(stage: Stage) -> None:
    """Check a stage whose data is written, and which match_tokens has sized; warn where the plan does not fit.

    Raises:
        InputError: the same, more prompts a step than rows, or checkpoints that the disk cannot hold.
    """
    shape, load = known_shape(stage.init), load_of(stage.kind, stage.config, stage.prompts_per_step)
    check_constraints(load, shape, stage.device, rows=pyarrow.parquet.read_metadata(stage.train).num_rows)
    if shape is None:
        return
    machine = machine_of(stage.config.planning, Path(stage.config.runs), stage.device)
    kept = storage(shape, load, stage.settings, stage.device)
    # Checkpoints on the disk have taken their space already.
    written = len(complete(stage.checkpoints))
    for problem in storage_shortfalls(kept.less(written), machine, host=False):
        raise InputError(problem, "the run would end at a save", field="runs")
    if stage.device == "gpu":
        plan = make_plan(stage.kind, stage.config, shape, machine, stage.prompts_per_step)
        for problem in plan.shortfalls:
            print(f"warning: by the plan {problem} (--dry-run says what to change)", flush=True)


def check_resumed(stage: Stage) -> None:
    """Check a stage that goes on: its configuration and its cluster may be other ones than before.

    Raises:
        InputError: as ``check_start`` and ``check_stage``.
    """
    check_constraints(load_of(stage.kind, stage.config), known_shape(stage.init), stage.device, offered(stage))
    check_keys(stage)
    check_stage(stage)


def offered(place: Place) -> list[Node] | None:
    """What Ray may use of each machine; None where the stage is planned for machines that are elsewhere."""
    if place.ray_address:
        return _cluster_nodes(place.ray_address)
    cluster, named = place.config.cluster, place.config.planning.cpus
    if named and place.device == "gpu":
        return [Node(named, gpus_of_machine(cluster))] * cluster.nodes
    private = cluster_arguments(place.device, None, gpus_of_machine(cluster))
    gpus = private.get("num_gpus", _visible_gpus())
    return [Node(private.get("num_cpus", os.cpu_count() or 1), gpus)] if gpus else None


def _visible_gpus() -> int:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    # Ray reads the same variable, and an empty value hides every card.
    return len(visible_cards().splitlines()) if named is None else len([name for name in named.split(",") if name])


def _cluster_nodes(address: str) -> list[Node]:
    return [Node(found.get("CPU", 0), found.get("GPU", 0)) for found in resources_of(address)]
