"""The judge stage of ``--judge-steps``: checked before a model is loaded, and run by the product's own command."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.jsonl import write_jsonl
from data.responses import iter_responses
from data.row_files import read_rows
from judgerlvr.cli import MODULES
from judgerlvr.config.domains import COUNT
from judgerlvr.config.effective import configure
from judgerlvr.config.load import parse_override
from judgerlvr.config.schema import Config, JudgeStage
from judgerlvr.diagnosis.draws import Question
from judgerlvr.evaluation.command import read_options
from judgerlvr.experiments.commands import call
from judgerlvr.experiments.spent import spent_by
from judgerlvr.models.places import check_output_apart
from judgerlvr.pipeline.checks import check_start
from judgerlvr.pipeline.requests import unchecked_request
from judgerlvr.runs.metrics import GROUPS, METRICS, merge_steps, read_metrics
from judgerlvr.runs.policy_card import used_facts
from judgerlvr.runs.stage import DATA
from judgerlvr.sampling.samples import Item
from rewards.errors import InputError
from rewards.wording import counted

HELDOUT = 1  # problems that stage 1 holds out of the judge set. verl reads no empty file
RUN, POLICY, CANDIDATES, AFTER = "judge", "judge-policy", "judge-candidates.jsonl", "after"
# Options that mean nothing without a judge stage, by their names among the parsed options.
BESIDE = {"judge_config": "--judge-config", "judge_set": "--judge-set", "judge_candidates": "--judge-data"}
# Keys of the stage that the command line of a diagnosis decides, with what decides them.
DECIDED = {
    "judge.stop.steps": "--judge-steps",
    "judge.data.responses": "--judge-data",
    "model.path": "--model",
    "runs": "--out",
    "name": "--out",
    "judge.data.heldout_problems": "the measured problems",
    "judge.validation.every": "the measured problems",
    "judge.stop.plateau.steps": "--judge-steps",
    "judge.solving.problems": "the measured problems",
    "judge.solving.samples": "the measured problems",
    "judge.solving.stop_gain": "--judge-steps",
}


@dataclass(frozen=True)
class JudgePlan:
    """A judge stage to run. ``measured`` are the problems of which no solution is judged in training."""

    steps: int
    folder: Path
    words: tuple[str, ...]  # of the stage's command line
    config: Config
    given: tuple[Path, ...]
    measured: tuple[Item, ...]

    @property
    def problems(self) -> frozenset[str]:
        """Ids of the measured problems."""
        return frozenset(item.problem.id for item in self.measured)


@dataclass(frozen=True)
class Trained:
    """What the stage did. ``samples`` are verdicts sampled in training, and ``tokens`` their tokens.

    ``prompts`` are judge prompts of the training set, on ``problems`` problems. ``source`` says whose solutions.
    """

    asked_steps: int
    steps: int
    samples: int
    tokens: int
    seconds: float
    prompts: int
    problems: int
    source: str


def check_judge_options(options: argparse.Namespace) -> None:
    """Refuse what can be told from the words alone.

    Raises:
        InputError: a number of steps that is not one, or options without their partners.
    """
    if options.judge_steps is None:
        if alone := [shown for name, shown in BESIDE.items() if getattr(options, name)]:
            raise InputError(f"{alone[0]} without --judge-steps", "give --judge-steps N too")
        return
    if not COUNT.allows(options.judge_steps):
        raise InputError(f"--judge-steps is {options.judge_steps}", f"give {COUNT.says}")
    if options.judge_config is None:
        raise InputError("--judge-steps without --judge-config", "give the configuration file of stage 1")
    for text in options.judge_set:
        if decides := DECIDED.get(name := parse_override(text).name):
            raise InputError(f"--judge-set {name}, which {decides} decides", "leave it out")


def plan_judging(options: argparse.Namespace, question: Question, folder: Path) -> JudgePlan | None:
    """The judge stage that the options ask for, None where they ask for none. No model is loaded.

    Raises:
        InputError: a bad configuration, another judge prompt or grading than is measured, bad candidates,
            too few problems, or a folder that holds a stage.
    """
    if options.judge_steps is None:
        return None
    for name in (RUN, POLICY, CANDIDATES, AFTER):
        if (folder / name).exists():
            raise InputError("exists", "remove it, or give another --out", file=folder / name)
    check_output_apart(folder, options.judge_candidates)
    given = tuple(path.absolute() for path in options.judge_candidates)
    own = [(folder / CANDIDATES).absolute()]
    words = (*options.judge_set, *_decided(options, folder, given or own))
    config = configure(options.judge_config, words).config
    _check_same(question, used_facts("judge", config))
    measured = _apart(question.items, _judged(options, given)) if given else list(question.items[::2])
    _check_problems(question, config.judge, measured, bool(given))
    check_start(unchecked_request("judge", config, None, folder / POLICY, here=True))
    line = ("--config", str(options.judge_config), *words, "--out", str((folder / POLICY).absolute()))
    line += ("--override-card",) if options.override_card else ()
    return JudgePlan(options.judge_steps, folder, line, config, given, tuple(measured))


def _decided(options: argparse.Namespace, folder: Path, responses: Sequence[Path]) -> list[str]:
    """Overrides of ``DECIDED``. The measured problems are apart, so the stage itself validates on none."""
    values = {
        "judge.stop.steps": options.judge_steps,
        "judge.data.responses": json.dumps([str(path) for path in responses]),
        "model.path": options.model.absolute(),
        "runs": folder.absolute(),
        "name": RUN,
        "judge.data.heldout_problems": HELDOUT,
        "judge.validation.every": 0,
        "judge.stop.plateau.steps": 0,
        "judge.solving.problems": 0,
        "judge.solving.samples": 1,
        "judge.solving.stop_gain": 0,
    }
    return [f"{name}={value}" for name, value in values.items()]


def _check_same(question: Question, of_stage: Mapping[str, Any]) -> None:
    """The stage trains the judge prompt, the words and the grading that are measured."""
    here: dict[str, Any] = {
        "judge_prompt": question.judge_template,
        "verdicts": question.settings.verdicts,
        "extraction": question.settings.extraction,
        "verifier": question.settings.verifier,
    }
    keys = {
        "judge_prompt": "judge.data.prompt",
        "verdicts": "judge.data.verdicts",
        "extraction": "reward.extraction",
        "verifier": "reward.verifier",
    }
    for name, value in of_stage.items():
        if here[name] != value:
            remedy = f"give --judge-set {keys[name]}=..., or the same as an option of this command"
            raise InputError("differs from what this command measures", remedy, field=keys[name])


def _judged(options: argparse.Namespace, files: Sequence[Path]) -> set[str]:
    """Ids of the problems of candidate files. Rows that cannot be used are named."""
    reading = read_options(options)
    return {one.problem.id for path in files for one in iter_responses(path, reading)}


def _apart(items: Sequence[Item], judged: set[str]) -> list[Item]:
    return [item for item in items if item.problem.id not in judged]


def _check_problems(question: Question, stage: JudgeStage, measured: Sequence[Item], given: bool) -> None:
    total, prompts = len(question.items), stage.batch.prompts_per_step
    if given and not measured:
        problem = f"--judge-data has solutions of all {counted(total, 'problem')}"
        raise InputError(problem, "give other problems to --data, on which the transfer is measured")
    if given:
        return
    judged = total - len(measured) - HELDOUT
    if judged < 1:
        raise InputError(f"{counted(total, 'problem')} to measure and to judge", "give at least 4, or --judge-data")
    alike = question.settings.decoding.n // 2
    most = judged * min(2 * (stage.data.cap_per_problem or alike), 2 * alike)
    if isinstance(prompts, int) and prompts > most:
        problem = f"{prompts} prompts a step, and the solutions of {counted(judged, 'problem')} give at most {most}"
        remedy = f"give --judge-set judge.batch.prompts_per_step={most} or less, more problems, or --judge-data"
        raise InputError(problem, remedy, field="judge.batch.prompts_per_step")


def train(plan: JudgePlan, candidates: Sequence[dict[str, Any]]) -> tuple[Path, Trained]:
    """Run stage 1. Returns the directory of the policy, and what was trained.

    Raises:
        CommandEnded: the stage failed, and said why.
    """
    judged = [row for row in candidates if row["problem_id"] not in plan.problems]
    if not plan.given:
        write_jsonl(plan.folder / CANDIDATES, judged)
    call(MODULES["judge"], *plan.words)
    return (plan.folder / POLICY).resolve(), trained(plan)


def trained(plan: JudgePlan) -> Trained:
    """What the run folder of the finished stage says."""
    run = plan.folder / RUN
    spent = spent_by(run)
    groups = sum(row[GROUPS] for row in merge_steps(read_metrics(run / METRICS)) if row.is_training)
    rows = read_rows(run / DATA / "train.parquet")
    return Trained(
        asked_steps=plan.steps,
        steps=spent.steps,
        samples=int(groups) * plan.config.judge.batch.samples_per_prompt,
        tokens=spent.tokens,
        seconds=round(spent.seconds, 1),
        prompts=len(rows),
        problems=len({row["extra_info"]["problem_id"] for row in rows}),
        source="--judge-data" if plan.given else "the model, drawn for this diagnosis",
    )
