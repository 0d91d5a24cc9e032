"""Checks that involve more than one key, made before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import gcd
from typing import NamedTuple

from data.importing.problem_rows import ROLES
from judgerlvr.config.choices import Overlong, TrainerMode
from judgerlvr.config.schema import MATCH_TOKENS as MATCH_TOKENS
from judgerlvr.config.schema import PACKED, Cluster, Config, Data, JudgeStage, Model, StageSettings
from rewards.errors import InputError
from rewards.wording import counted

REFRESH = re.compile(r"refresh_every:(\d+)")


class Fault(NamedTuple):
    field: str
    problem: str
    remedy: str


def check_config(config: Config) -> None:
    """Raise an InputError for the first fault. The message names the key and what to set."""
    for fault in (*_general(config), *_stage("judge", config.judge), *_stage("generate", config.generate)):
        raise InputError(fault.problem, fault.remedy, field=fault.field)


def refresh_every(candidates: str) -> int:
    """Number of judge steps between two samplings of candidates. With 0 the candidates never change."""
    match = REFRESH.fullmatch(candidates)
    return int(match.group(1)) if match else 0


def prompt_multiple(updates: int, samples_per_prompt: int, ranks: int) -> int:
    """Prompts a step must be a multiple of this, so that each update's samples divide among the trainer's ranks."""
    return updates * ranks // gcd(ranks, samples_per_prompt)


def gpus_of_machine(cluster: Cluster) -> int:
    """GPUs that a stage takes of each machine: the trainer's, and those that the rollout alone has."""
    return cluster.gpus_per_node + cluster.rollout_gpus_per_node


def rollout_gpus(cluster: Cluster) -> int:
    """GPUs of each machine that have rollout engines."""
    return cluster.rollout_gpus_per_node or cluster.gpus_per_node


def data_ranks(cluster: Cluster) -> int:
    """Ranks of the trainer that have samples of their own: ranks that share tokens count as one."""
    return cluster.nodes * cluster.gpus_per_node // cluster.sequence_parallel


def _general(config: Config) -> Iterator[Fault]:
    judge, cluster = config.judge.data, config.cluster
    for role in config.data.columns:
        if role not in ROLES:
            yield Fault(f"data.columns.{role}", "unknown role", f"use {', '.join(ROLES)}")
    names = list(config.data.columns.values())
    if twice := next((name for name in names if names.count(name) > 1), None):
        yield Fault("data.columns", f"column {twice!r} is given to two roles", "give each role a column of its own")
    if judge.verdicts[0] == judge.verdicts[1]:
        yield Fault("judge.data.verdicts", f"{judge.verdicts} are not two words", "give e.g. [Yes,No]")
    if judge.candidates != "fixed" and judge.responses:
        yield Fault("judge.data.candidates", "re-sampling beside fixed files", "leave out judge.data.responses")
    if config.generate.batch.prompts_per_step == MATCH_TOKENS:
        yield Fault("generate.batch.prompts_per_step", "match_tokens sizes the judge stage only", "give a number")
    if config.generate.stop.plateau.steps:
        problem = "the plateau is one of judging, which stage 2 does not measure"
        yield Fault("generate.stop.plateau.steps", problem, "set it to 0")
    if not judge.responses and judge.samples_per_problem == 1 and len(judge.sample_from) < 2:
        problem = "one sample of a problem is never right and wrong"
        yield Fault("judge.data.samples_per_problem", problem, "use 2 or more")
    if config.data.heldout and not config.data.train:
        problem = "own held-out problems beside tiny-world training problems"
        yield Fault("data.train", problem, "give data.train too, or leave out data.heldout")
    if config.data.train and config.generate.validation.every and not config.data.heldout:
        problem = "validation needs held-out problems of your own"
        yield Fault("data.heldout", problem, "give data.heldout, or set generate.validation.every=0")
    yield from _solving(config.judge, config.data)
    yield from _rollout_gpus(cluster)
    yield from _sequence_parallel(cluster, config.model)


def _solving(judge: JudgeStage, data: Data) -> Iterator[Fault]:
    """Measurements of solving that nothing makes, or that lack held-out problems of the training problems' kind."""
    solving, field = judge.solving, "judge.solving"
    if not solving.problems:
        problem, remedy = "nothing is solved while judging", f"set {field}.problems to 1 or more"
        if solving.stop_gain:
            yield Fault(f"{field}.stop_gain", problem, f"{remedy}, or {field}.stop_gain to 0")
        if solving.samples > 1:
            yield Fault(f"{field}.samples", problem, f"{remedy}, or {field}.samples to 1")
        return
    if not judge.validation.every:
        problem = "without validation solving is never measured"
        yield Fault(f"{field}.problems", problem, "set judge.validation.every to 1 or more")
    if (data.train or judge.data.responses) and not data.heldout:
        problem = "solving is measured on held-out problems of your own, and there are none"
        yield Fault("data.heldout", problem, f"give data.heldout, or set {field}.problems to 0")


def _rollout_gpus(cluster: Cluster) -> Iterator[Fault]:
    """GPUs of the rollout alone where the mode has none, none where the mode needs some, or a part of an engine."""
    field, mode = "cluster.rollout_gpus_per_node", cluster.trainer_mode
    separate = mode is TrainerMode.separate_async
    if separate and not cluster.rollout_gpus_per_node:
        remedy = "set 1 or more, or cluster.trainer_mode=colocate_async"
        yield Fault(field, f"cluster.trainer_mode={mode} needs GPUs of the rollout alone", remedy)
    if cluster.rollout_gpus_per_node and not separate:
        remedy = f"set 0, or cluster.trainer_mode={TrainerMode.separate_async}"
        yield Fault(field, f"the rollout has no GPUs of its own with cluster.trainer_mode={mode}", remedy)
    gpus = cluster.nodes * rollout_gpus(cluster)
    if gpus % cluster.tensor_parallel:
        yield Fault("cluster.tensor_parallel", f"{counted(gpus, 'GPU')} cannot be divided by it", "use a divisor")


def _sequence_parallel(cluster: Cluster, model: Model) -> Iterator[Fault]:
    """Whatever would let a rank see its own tokens alone. Each rank must hold a part of the row as it lies."""
    field = "cluster.sequence_parallel"
    if cluster.sequence_parallel == 1:
        return
    if cluster.attention not in ("auto", PACKED):
        problem = f"cluster.attention={cluster.attention} attends to a rank's own tokens alone"
        yield Fault(field, problem, f"set cluster.attention=auto or {PACKED}")
    if cluster.share_prefixes:
        yield Fault(field, "prefixes are shared within one rank's pass alone", "set cluster.share_prefixes=false")
    if model.replay_experts:
        yield Fault(field, "router replay needs whole rows on each rank", "set model.replay_experts=false")


def _stage(name: str, settings: StageSettings) -> Iterator[Fault]:
    batch, algorithm, stop = settings.batch, settings.algorithm, settings.stop
    prompts, updates = batch.prompts_per_step, batch.updates_per_step
    if isinstance(prompts, int) and prompts % updates:
        problem = f"{counted(updates, 'update')} of {counted(prompts, 'prompt')}"
        yield Fault(f"{name}.batch.updates_per_step", problem, f"make it divide {prompts}")
    if stop.plateau.steps and not settings.validation.every:
        problem = "without validation no plateau is ever measured"
        yield Fault(f"{name}.stop.plateau.steps", problem, f"set {name}.validation.every to 1 or more")
    if not algorithm.clip_low <= algorithm.clip_high:
        yield Fault(f"{name}.algorithm.clip_high", "clip range is empty", "set clip_low <= clip_high")
    if algorithm.old_log_probs_every > 1 and algorithm.importance_cap:
        problem = "weights need the trainer's old log-probabilities in every step"
        remedy = f"set it to 0, or {name}.algorithm.old_log_probs_every to 1"
        yield Fault(f"{name}.algorithm.importance_cap", problem, remedy)
    if algorithm.overlong is Overlong.penalty and not 0 < algorithm.overlong_buffer < settings.max_response_tokens:
        remedy = f"set it between 1 and {settings.max_response_tokens - 1}"
        yield Fault(f"{name}.algorithm.overlong_buffer", "the penalty needs a buffer", remedy)
    if algorithm.overlong is not Overlong.penalty and algorithm.overlong_buffer:
        problem = f"a buffer beside overlong={algorithm.overlong}"
        yield Fault(f"{name}.algorithm.overlong_buffer", problem, "set it to 0, or overlong to penalty")
