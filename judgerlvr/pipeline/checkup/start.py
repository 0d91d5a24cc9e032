"""Checks that come before any data is read. Each stage makes these checks at its start and prints the findings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, load_template
from judgerlvr.config.check import MATCH_TOKENS, refresh_every
from judgerlvr.config.choices import Device, Extraction
from judgerlvr.config.schema import Kind, StageSettings
from judgerlvr.engine.engine_section import rollout_keys
from judgerlvr.engine.flowing import separates
from judgerlvr.engine.preflight import CUPY, PreflightError, check_cupy, check_versions, check_vllm_plugin
from judgerlvr.models.configuration import read_config
from judgerlvr.models.directory import check_model, small_tokenizer
from judgerlvr.models.finite import check_finite, weight_bytes
from judgerlvr.models.prompt_tokens import check_room, special_texts, template_opens_thinking
from judgerlvr.pipeline.checkup.findings import Check, Finding, ok, warning
from judgerlvr.pipeline.checkup.nodes import nodes
from judgerlvr.pipeline.checkup.subject import Subject
from judgerlvr.pipeline.configured import check_policy, check_stage_settings
from judgerlvr.pipeline.inputs import check_card, check_trackers, check_verdicts, unasked_box
from judgerlvr.planning.machine import GIB, host_gib, visible_cards
from judgerlvr.planning.report import size
from judgerlvr.runs.folder import is_prepared
from judgerlvr.runs.manifest import MANIFEST
from judgerlvr.runs.policy_card import asks_to_generate
from judgerlvr.runs.versions import version
from rewards.errors import InputError, reading
from rewards.verifier import load_verifier
from rewards.wording import counted

# A policy of more parameters is meant for a GPU. The largest shipped base has 5 million.
MOST_ON_CPU = 100e6
# What a chat template calls for today's date.
CLOCK = "strftime_now"
# A run that is to end this soon is taken for a slip. The figure is our choice.
SOON_HOURS = 0.01
# More grading processes wait for each other. The figure is our choice.
MOST_A_CORE = 4
# Reading so much takes long enough to be told before.
LONG_GIB = 4.0


def machine(subject: Subject) -> Iterator[Finding]:
    """Device, cores, memory and the versions of both engines."""
    device, cards = subject.request.device, visible_cards().splitlines()
    shown = f", {len(cards)} x {cards[0]}" if cards else ""
    yield ok(f"device {device}: {counted(os.cpu_count() or 1, 'core')}, {host_gib():.1f} GiB{shown}")
    if device == "gpu" and not cards and not subject.request.ray_address:
        remedy = "give this command on the machine with GPUs, or set RAY_ADDRESS"
        yield warning("no GPU is visible here, so the cards are not checked", remedy)
    if subject.here and device == "cpu" and not subject.request.ray_address:
        _check_cache(subject.config.cluster.rollout_cpu_gib)
    yield from _installed(subject)
    check_trackers(subject.config.logging)
    cores, workers = os.cpu_count() or 1, subject.config.reward.workers
    if not subject.request.ray_address and workers > MOST_A_CORE * cores:
        yield warning(f"{workers} grading processes on {counted(cores, 'core')}", "lower reward.workers")


def _installed(subject: Subject) -> Iterator[Finding]:
    """Versions of both engines, and what sends weights between GPUs."""
    device, found = subject.request.device, {name: version(name) for name in CUPY}
    checks = [partial(check_versions, device)]
    # Each node of a running cluster is asked by ``nodes``.
    if separates(subject.request) and not subject.request.ray_address:
        checks.append(partial(check_cupy, found, device))
    sound = True
    for check in checks:
        try:
            check()
        except PreflightError as error:
            problem, _, remedy = str(error).partition("; ")
            if subject.here:
                raise InputError(problem, remedy) from error
            sound = False
            yield warning(problem, f"{remedy}, where the stage will run")
    if sound:
        yield ok(f"verl {version('verl')}, vllm {version('vllm')}")


def _check_cache(gib: float) -> None:
    """Refuse a KV cache that takes all memory of this machine. The engine would be killed after minutes."""
    if gib >= host_gib():
        problem = f"{gib:g} GiB of KV cache on a machine of {host_gib():.1f} GiB"
        raise InputError(problem, "set it to a few GiB", field="cluster.rollout_cpu_gib")


def model(subject: Subject) -> Iterator[Finding]:
    """The files of the starting policy, and of the models that candidates are sampled from."""
    request, config = subject.request, subject.config
    longest = config.max_prompt_tokens + config.longest_sampled(request.kind)
    subject.tokenizer = check_model(request.init, longest, config.model.trust_remote_code)
    check_policy(request)
    shape = subject.shape
    kind = f"{shape.model_type}, {size(shape.parameters)}" if shape else "of a type that the planner does not know"
    yield ok(f"{request.init}: {kind}, {counted(len(subject.tokenizer), 'token')} in the tokenizer")
    if problem := small_tokenizer(request.init, subject.tokenizer):
        yield warning(problem, "use the model's own tokenizer, or cut the embedding to the tokenizer")
    if shape and shape.parameters > MOST_ON_CPU and request.device == "cpu" and config.cluster.device is Device.auto:
        problem = f"{size(shape.parameters)} on a CPU, since no GPU is visible"
        yield warning(problem, "set cluster.device=gpu to plan for GPUs elsewhere")
    if request.kind == "judge":
        longest = config.max_prompt_tokens + config.generate.max_response_tokens
        for path in [] if config.judge.data.responses else config.judge.data.sample_from:
            check_model(Path(path), longest, config.model.trust_remote_code)
            yield ok(f"candidates from {path}")


def weights(subject: Subject) -> Iterator[Finding]:
    """No weight is NaN or infinite. A prepared run goes on from weights that were checked when they were saved."""
    request, data = subject.request, subject.config.judge.data
    if not subject.new and is_prepared(request.folder):
        return
    sampled = data.sample_from if request.kind == "judge" and not data.responses else ()
    for folder in dict.fromkeys([request.init, *map(Path, sampled)]):
        gib = weight_bytes(folder) / GIB
        if gib > LONG_GIB:
            yield ok(f"reading {gib:.0f} GiB of {folder}, a minute or more for each 60 GiB")
        check_finite(folder)
        yield ok(f"no weight of {folder} is NaN or infinite")


def verifier(subject: Subject) -> Iterator[Finding]:
    """The verifier loads."""
    reward = subject.config.reward
    needs = "needs gold answers" if load_verifier(reward.verifier).needs_gold else "needs no gold answers"
    yield ok(f"{reward.verifier} {needs}, extraction {reward.extraction.value}")


def prompt(subject: Subject) -> Iterator[Finding]:
    """Templates and verdict words."""
    config, kind = subject.config, subject.request.kind
    load_template(Path(config.data.prompt), GENERATE_FIELDS)
    if asks_to_generate(kind, config.judge):
        yield ok(f"generation prompt {config.data.prompt}")
        if problem := unasked_box(Path(config.data.prompt), config.reward):
            yield warning(problem, "ask for the box in the template, or set reward.extraction=lenient")
    if kind == "judge":
        load_template(Path(config.judge.data.prompt), JUDGE_FIELDS)
        check_verdicts(config.judge.data)
        yield ok(f"judge prompt {config.judge.data.prompt}, verdicts {', '.join(config.judge.data.verdicts)}")


def asked(subject: Subject) -> Iterator[Finding]:
    """Room for an answer in the model's tokens, the templates' own special tokens, and the starting policy's card."""
    _check_room(subject)
    yield from _special_in_templates(subject)
    if CLOCK in str(getattr(subject.tokenizer, "chat_template", "")):
        yield warning(f"the chat template calls {CLOCK}, so prompts differ from day to day", "write the date out")
    opens = template_opens_thinking(subject.tokenizer)
    for line in check_card(subject.request, subject.override_card, opens):
        yield warning(f"other than the policy's card: {line}", "use the card's, unless the change is meant")


def _special_in_templates(subject: Subject) -> Iterator[Finding]:
    """A template that writes a special token ends or begins a turn within the turn."""
    config, kind = subject.config, subject.request.kind
    paths = [config.data.prompt] if asks_to_generate(kind, config.judge) else []
    for path in map(Path, [*paths, *([config.judge.data.prompt] if kind == "judge" else [])]):
        text = path.read_text(encoding="utf-8")
        for token in sorted(special_texts(subject.tokenizer)):
            if token in text:
                yield warning(f"{path} holds the model's special token {token}", "take the token out of the template")


def _check_room(subject: Subject) -> None:
    """Refuse limits under which no response could be right."""
    config, kind = subject.config, subject.request.kind
    if kind == "judge":
        limit = config.judge.max_response_tokens
        check_room(subject.tokenizer, config.judge.data.verdicts, limit, "judge.max_response_tokens")
    asks = asks_to_generate(kind, config.judge)
    if (
        asks
        and config.reward.extraction is Extraction.strict
        and load_verifier(config.reward.verifier).reads == "answer"
    ):
        limit = config.generate.max_response_tokens
        check_room(subject.tokenizer, ["1"], limit, "generate.max_response_tokens")


def cluster(subject: Subject) -> Iterator[Finding]:
    """What Ray offers, and whether the stage's numbers fit."""
    request = subject.request
    if subject.here:
        _check_plugin(request.init)
    if request.config.cluster.rollout_engine or rollout_keys(request.config.engine):
        yield ok("vLLM is asked about the rollout's arguments, which takes as long as its import")
    check_stage_settings(request)
    private = f"a private cluster ({counted(os.cpu_count() or 1, 'core')} here)"
    yield ok(f"ray: {f'the cluster at {request.ray_address}' if request.ray_address else private}")
    batch = request.settings.batch
    if batch.prompts_per_step == MATCH_TOKENS:
        yield ok("judge prompts a step are measured at start (match_tokens)")
    else:
        samples = batch.fixed_prompts * batch.samples_per_prompt
        yield ok(f"{counted(samples, 'sample')} a step, {samples // batch.updates_per_step} an update")


def _check_plugin(policy: Path) -> None:
    """Refuse a HySparse policy that vLLM would not know: the product is on the path, and not installed."""
    try:
        check_vllm_plugin(str(read_config(policy).get("model_type")))
    except PreflightError as error:
        problem, _, remedy = str(error).partition("; ")
        raise InputError(problem, remedy, file=policy) from error


def never(kind: Kind, settings: StageSettings, refresh: int = 0) -> Iterator[Finding]:
    """What a run of so many steps does not come to. ``refresh`` counts steps between two samplings of candidates."""
    steps, field = settings.stop.steps, f"{kind}.stop.steps"
    if 0 < steps < settings.optimizer.warmup_steps:
        problem = (
            f"{settings.optimizer.warmup_steps} steps of warm-up, and {field} is {steps}: the full rate never comes"
        )
        yield warning(problem, f"lower {kind}.optimizer.warmup_steps")
    if 0 < settings.stop.hours < SOON_HOURS:
        seconds = settings.stop.hours * 3600
        yield warning(f"{kind}.stop.hours ends the run after {seconds:.2g} s, or a first step", "give more hours")
    if 0 < steps < settings.validation.every:
        problem = f"validation each {settings.validation.every} steps, and {field} is {steps}: at the end alone"
        yield warning(problem, f"lower {kind}.validation.every, if more is wanted")
    if 0 < steps <= refresh:
        problem = f"candidates are refreshed each {refresh} steps, and {field} is {steps}: never"
        yield warning(problem, "lower the number in judge.data.candidates, or set fixed")


def budget(subject: Subject) -> Iterator[Finding]:
    """Steps that a run does not come to, and the run folders whose tokens end this run.

    A folder may appear later, since arms run side by side.
    """
    request, candidates = subject.request, subject.config.judge.data.candidates
    yield from never(request.kind, request.settings, refresh_every(candidates) if request.kind == "judge" else 0)
    field = f"{subject.request.kind}.stop.tokens_of"
    for folder in map(Path, subject.request.settings.stop.tokens_of):
        with reading("the path cannot be followed", "give run folders", file=folder, field=field):
            there = folder.exists() or folder.is_symlink()
        if there and not folder.is_dir():
            raise InputError("is no run folder", "give run folders", file=folder, field=field)
        if not (folder / MANIFEST).is_file():
            yield warning(f"{folder} holds no run yet, whose tokens end this run", "begin that run, or mend the name")


START = (
    Check("machine", machine),
    Check("model", model),
    Check("weights", weights, needs=("model",)),
    Check("verifier", verifier),
    Check("prompt", prompt),
    Check("prompt", asked, needs=("model", "verifier", "prompt")),
    Check("cluster", cluster, needs=("model",)),
    Check("budget", budget),
    Check("nodes", nodes, needs=("model", "cluster")),
)
