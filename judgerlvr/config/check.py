"""Checks that involve more than one key, made before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import gcd
from typing import NamedTuple

from data.importing.problem_rows import ROLES
from judgerlvr.config.schema import Config, Overlong, StageSettings
from rewards.errors import InputError

MATCH_TOKENS = "match_tokens"
REFRESH = re.compile(r"refresh_every:(\d+)")


class Fault(NamedTuple):
    field: str
    problem: str
    remedy: str


def check_config(config: Config) -> None:
    """Raise an InputError for the first fault; its message names the key and what to set."""
    for fault in (*_general(config), *_stage("judge", config.judge), *_stage("generate", config.generate)):
        raise InputError(fault.problem, fault.remedy, field=fault.field)


def refresh_every(config: Config) -> int:
    """Judge steps between two samplings of candidates; 0: the candidates are fixed."""
    match = REFRESH.fullmatch(config.judge.data.candidates)
    return int(match.group(1)) if match else 0


def prompt_multiple(updates: int, samples_per_prompt: int, ranks: int) -> int:
    """Prompts a step must be a multiple of this, so that each update's samples divide among the trainer's ranks."""
    return updates * ranks // gcd(ranks, samples_per_prompt)


def _general(config: Config) -> Iterator[Fault]:
    judge, cluster = config.judge.data, config.cluster
    if config.temperature <= 0:
        yield Fault("temperature", f"{config.temperature:g} does not explore", "set it above 0 (1.0 is usual)")
    if config.max_prompt_tokens < 1:
        yield Fault("max_prompt_tokens", "must be positive", "set the longest prompt, in tokens")
    if config.data.contamination not in ("stop", "drop"):
        yield Fault("data.contamination", f"{config.data.contamination!r}", "use stop or drop")
    if config.data.bad_rows not in ("stop", "drop"):
        yield Fault("data.bad_rows", f"{config.data.bad_rows!r}", "use stop or drop")
    for role in config.data.columns:
        if role not in ROLES:
            yield Fault(f"data.columns.{role}", "unknown role", f"use {', '.join(ROLES)}")
    if len(judge.verdicts) != 2 or judge.verdicts[0] == judge.verdicts[1]:
        yield Fault("judge.data.verdicts", f"{judge.verdicts} are not two words", "give e.g. [Yes,No]")
    if judge.candidates != "fixed" and not REFRESH.fullmatch(judge.candidates):
        yield Fault("judge.data.candidates", f"{judge.candidates!r}", "use fixed or refresh_every:N")
    if judge.candidates != "fixed" and judge.responses:
        yield Fault("judge.data.candidates", "re-sampling beside fixed files", "leave out judge.data.responses")
    if config.generate.batch.prompts_per_step == MATCH_TOKENS:
        yield Fault("generate.batch.prompts_per_step", "match_tokens sizes the judge stage only", "give a number")
    gpus = cluster.nodes * cluster.gpus_per_node
    if gpus % cluster.tensor_parallel:
        yield Fault("cluster.tensor_parallel", f"{gpus} GPUs do not divide by it", "use a divisor")


def _stage(name: str, settings: StageSettings) -> Iterator[Fault]:
    batch, algorithm, stop = settings.batch, settings.algorithm, settings.stop
    prompts = batch.prompts_per_step
    if prompts != MATCH_TOKENS:
        if not isinstance(prompts, int) or prompts < 1:
            yield Fault(f"{name}.batch.prompts_per_step", f"{prompts!r}", "give a positive number")
        elif batch.updates_per_step < 1 or prompts % batch.updates_per_step:
            remedy = f"make it divide {prompts}"
            yield Fault(
                f"{name}.batch.updates_per_step", f"{batch.updates_per_step} updates of {prompts} prompts", remedy
            )
    if batch.samples_per_prompt < 2:
        yield Fault(f"{name}.batch.samples_per_prompt", "a group of one has no advantage", "use 2 or more")
    if stop.steps < 1:
        yield Fault(f"{name}.stop.steps", f"{stop.steps} steps", "use 1 or more")
    if settings.max_response_tokens < 1:
        yield Fault(f"{name}.max_response_tokens", "must be positive", "set the longest response, in tokens")
    if not 0 < algorithm.clip_low <= algorithm.clip_high:
        yield Fault(f"{name}.algorithm.clip_high", "clip range is empty", "set 0 < clip_low <= clip_high")
    if algorithm.overlong is Overlong.penalty and not 0 < algorithm.overlong_buffer < settings.max_response_tokens:
        remedy = f"set it between 1 and {settings.max_response_tokens - 1}"
        yield Fault(f"{name}.algorithm.overlong_buffer", "the penalty needs a buffer", remedy)
    if settings.optimizer.lr <= 0:
        yield Fault(f"{name}.optimizer.lr", f"{settings.optimizer.lr:g}", "use a positive learning rate")
