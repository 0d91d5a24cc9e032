"""``python -m judgerlvr.measure``: a short stage of the product itself, read off verl's own timers."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from judgerlvr.cluster.own_folder import own_folder
from judgerlvr.config.check import data_ranks, prompt_multiple
from judgerlvr.config.choices import Action, Overlong, TrainerMode
from judgerlvr.config.effective import configure
from judgerlvr.config.guards import Guard
from judgerlvr.config.schema import Config
from judgerlvr.engine.runner import StageFailed, train_stage
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.pipeline.generate_data import prepare_generate
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.pipeline.requests import make_request
from judgerlvr.pipeline.reward_settings import grading_settings
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import machine_of, visible_cards
from judgerlvr.planning.measured import CPU, Measured, write_measured
from judgerlvr.planning.observed import WARM_UP, observed
from judgerlvr.runs.console import last_lines, quiet
from judgerlvr.runs.folder import run_folder, write_config
from judgerlvr.runs.manifest import make_manifest, write_manifest
from judgerlvr.runs.metrics import METRICS, read_metrics
from judgerlvr.runs.request import Request
from judgerlvr.runs.versions import versions
from rewards.errors import InputError

STEPS = WARM_UP + 2
# Responses then end at their full length: their number of tokens is known, and equal among cards.
IGNORE_END = {"actor_rollout_ref": {"rollout": {"ignore_eos": True}}}


def run_measure(options: argparse.Namespace) -> None:
    """Measure as the options ask for and write the file.

    Raises:
        InputError: bad input, or a file that exists.
        StageFailed: the short stage ended early.
    """
    if options.out.exists():
        raise InputError("exists", "give another --out, or remove the file", file=options.out)
    if min(options.response_tokens, options.samples) < 1:
        raise InputError("--response-tokens and --samples count from 1", "give positive numbers")
    given = configure(options.config, options.overrides, None).config
    # Only the figures are kept.
    with own_folder("judgerlvr-measure-") as folder:
        config = short_stage(given, str(folder), options.response_tokens, options.samples)
        request = make_request("generate", config)
        measured = measure(request)
    write_measured(measured, options.out)
    for phase, microseconds in measured.us_per_token().items():
        print(
            f"{phase:>9}: {microseconds:9.2f} us a token on one {measured.card}, {measured.seconds[phase]:.2f} s a step"
        )
    print(f"written: {options.out} (use it with planning.measured={options.out})")


def short_stage(config: Config, runs: str, response_tokens: int, samples_per_rank: int) -> Config:
    """The configuration of a few steps: same policy, cards and engine, generated problems, no checkpoint, no stop."""
    # A phase that runs beside others cannot be timed.
    cluster = replace(config.cluster, trainer_mode=TrainerMode.sync, rollout_gpus_per_node=0)
    settings = config.generate
    ranks, batch = cluster.nodes * cluster.gpus_per_node, settings.batch
    multiple = prompt_multiple(batch.updates_per_step, batch.samples_per_prompt, data_ranks(cluster))
    prompts = -(-samples_per_rank * ranks // (batch.samples_per_prompt * multiple)) * multiple
    generate = replace(
        settings,
        batch=replace(batch, prompts_per_step=prompts),
        stop=type(settings.stop)(steps=STEPS),
        # Further rounds of sampling would make the tokens of a step vary.
        algorithm=replace(settings.algorithm, dynamic_sampling=False, overlong=Overlong.wrong),
        validation=replace(settings.validation, every=0),
        # verl saves at no step where this is negative.
        checkpoint=replace(settings.checkpoint, every=-1),
        max_response_tokens=min(response_tokens, settings.max_response_tokens),
    )
    # Responses of full length count as wrong, and the guard of zero rewards would stop the run.
    guards = {name: Guard(Action.warn, guard.limit) for name, guard in vars(config.guards).items()}
    # A hung engine must still end the measurement.
    waiting = {name: vars(config.guards)[name] for name in ("start_minutes", "hang_minutes")}
    data = replace(
        config.data, train=[], heldout=[], evaluation=[], tiny_train=max(64, STEPS * prompts), tiny_heldout=8
    )
    return replace(
        config,
        runs=runs,
        name="measure",
        cluster=cluster,
        generate=generate,
        guards=type(config.guards)(**{**guards, **waiting}),
        data=data,
        engine={**config.engine, **IGNORE_END},
    )


def measure(request: Request) -> Measured:
    """Run the short stage and read what its steps took.

    Raises:
        StageFailed: the stage ended early; the end of its log is printed.
    """
    config = request.config
    run_dir = run_folder(request.folder, new=True)
    write_config(run_dir, config)
    print(f"measuring {STEPS - WARM_UP} steps after one of warm-up: {request.init} on {request.device}", flush=True)
    try:
        with quiet(run_dir):
            tokenizer = load_tokenizer(request.init, config.model.trust_remote_code)
            problems = ProblemSets(config, grading_settings(config.reward, tokenizer))
            stage, counts = prepare_generate(request, run_dir, tokenizer, problems)
            write_manifest(run_dir, make_manifest(stage, counts))
            train_stage(stage)
    except StageFailed:
        print(last_lines(run_dir), flush=True)  # the run folder is temporary, and so is the log
        raise
    found = observed(read_metrics(run_dir / METRICS))
    machine = machine_of(config.planning, Path(config.runs), request.device)
    return Measured(
        card=machine.card if request.device == "gpu" else CPU,
        condition={"cards": visible_cards().splitlines(), "steps": found.steps, "versions": versions()},
        model=json.loads((Path(request.init) / "config.json").read_text(encoding="utf-8")),
        load=load_of("generate", config),
        machine=machine,
        tokens=found.tokens,
        seconds=found.seconds,
        trainer_gib=found.trainer_gib,
    )
