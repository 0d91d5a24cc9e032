"""The command ``judgerlvr.diagnose``, from parsed options to one page and a record."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from data.prompts import JUDGE_FIELDS, load_template
from judgerlvr.config.load import resolve_path
from judgerlvr.diagnosis.cases import read_cases
from judgerlvr.diagnosis.draws import Drawn, Question, draw
from judgerlvr.diagnosis.judge_stage import AFTER, JudgePlan, check_judge_options, plan_judging, train
from judgerlvr.diagnosis.measures import Measures, measure
from judgerlvr.diagnosis.page import page
from judgerlvr.diagnosis.prediction import Prediction, inputs_of, predict
from judgerlvr.diagnosis.scoring import why_not_scored, why_not_trusted
from judgerlvr.diagnosis.transfer import transfer_of, why_no_prediction
from judgerlvr.diagnosis.transfer_page import transfer_page
from judgerlvr.evaluation.command import check_arguments, engine_options, fill_from_card, read_items, settings_of
from judgerlvr.evaluation.documents import check_files, check_new_file, to_markdown, write_files
from judgerlvr.evaluation.outputs import SAMPLES, SUMMARY
from judgerlvr.evaluation.run import write_evaluation
from judgerlvr.models.directory import check_model
from judgerlvr.models.finite import check_finite
from judgerlvr.models.hub import model_directory
from judgerlvr.models.identity import model_hash
from judgerlvr.pipeline.inputs import check_asked_words
from judgerlvr.runs.policy_card import check_against, read_card
from rewards.errors import CommandFailed, InputError
from rewards.wording import counted

JUDGE_PROMPT = Path("configs/prompts/judge.txt")
PAGE, RECORD = "diagnosis.md", "diagnosis.json"
TRANSFER_FILES = ("transfer.md", "transfer.json")
FACTS = ("model", "data", "limit", "settings", "judge_prompt", "generated_tokens", "seconds")
# Options of an evaluation that a diagnosis fixes. Cases were measured at temperature 1.
FIXED: dict[str, Any] = {
    "judge_data": [],
    "responses": [],
    "temperature": 1.0,
    "top_p": 1.0,
    "min_check_tokens": 1,
}


def diagnose(options: argparse.Namespace) -> None:
    """Measure, predict, print and write.

    Raises:
        InputError: bad options, model, templates or problems, or a folder that holds a diagnosis or an evaluation.
    """
    vars(options).update(FIXED)
    check_arguments(options)
    check_judge_options(options)
    if options.n < 2:
        raise InputError(f"--n is {options.n}", "give at least 2, since one sample has no mixed outcome")
    options.model = model_directory(options.model)
    judge_template = read_judge_template(options)
    fill_from_card(options)
    settings = settings_of(options)
    items, sources = read_items(options)
    engine = engine_options(options.engine)
    check_model(options.model, longest=1)
    check_finite(options.model)
    folder = options.out or Path("runs/diagnose") / f"{options.model.name}-{model_hash(options.model)[:8]}"
    files = [folder / PAGE, folder / RECORD]
    check_files([*files, *(folder / name for name in TRANSFER_FILES)])
    for name in (SUMMARY, SAMPLES):
        check_new_file(folder / name)
    # Two files may share a problem, whose samples would then count twice.
    question = Question(list({item.id: item for item in items}.values()), settings, judge_template)
    plan = plan_judging(options, question, folder)
    print(f"sampling {counted(len(question.items), 'problem')} x {options.n}, then greedy, then verdicts", flush=True)
    started = time.monotonic()
    drawn = draw(options.model, question, engine, sys.stderr.isatty(), options.whole_limit)
    seconds = time.monotonic() - started
    summary = drawn.evaluation.summary(settings, sources, options.model, options.limit)
    write_evaluation(folder, drawn.evaluation, summary)
    summary |= {"seconds": round(seconds, 1), "judge_prompt": judge_template}
    record, blocks = result(drawn, measure(drawn, settings.min_check_tokens), summary)
    print(to_markdown(blocks))
    write_files(files, blocks, record, "Diagnosis")
    if plan:
        diagnose_transfer(options, plan, question, drawn, summary)


def diagnose_transfer(
    options: argparse.Namespace, plan: JudgePlan, question: Question, before: Drawn, summary: dict[str, Any]
) -> None:
    """Train the judge stage, draw the same samples of its policy, print and write.

    Raises:
        CommandFailed: nothing to judge, or the stage failed. The diagnosis before the stage is kept.
    """
    if before.no_judging and not plan.given:
        raise CommandFailed(f"no judge stage, since there is nothing to judge: {before.no_judging}")
    print(f"training {counted(plan.steps, 'step')} of judging", flush=True)
    policy, trained = train(plan, before.candidates)
    prompts = [item for item in before.judge_items if item.problem.id in plan.problems]
    context = before.evaluation.context or 0
    same = replace(question, items=plan.measured, verdicts_on=prompts, context=context)
    after = draw(policy, same, engine_options(options.engine), sys.stderr.isatty(), options.whole_limit)
    of_policy = after.evaluation.summary(question.settings, (), policy, options.limit)
    write_evaluation(plan.folder / AFTER, after.evaluation, of_policy | {"data": summary["data"]})
    found, why = transfer_of(before, after, plan.problems), why_no_prediction(read_cases())
    record = {
        "model": summary["model"],
        "policy": of_policy["model"],
        "trained": asdict(trained),
        "command": list(plan.words),
        **asdict(found),
        "prediction": {"outcome": None, "reasons": [why]},
    }
    blocks = transfer_page(trained, found, why)
    print(to_markdown(blocks))
    write_files([plan.folder / name for name in TRANSFER_FILES], blocks, record, "Transfer")


def read_judge_template(options: argparse.Namespace) -> str:
    """The judge prompt of the command line, else of the policy's card, else the default. Call before the card fills.

    Raises:
        InputError: a bad template, words that the template does not ask for, or a prompt other than the card's.
    """
    card = read_card(options.model)
    if options.judge_prompt is None and card and card.judge_prompt is not None:
        return card.judge_prompt
    path = resolve_path(options.judge_prompt or JUDGE_PROMPT).resolve()
    template = load_template(path, JUDGE_FIELDS)
    words = options.verdicts or (card and card.verdicts) or ["Yes", "No"]
    check_asked_words(path, words, "--verdicts")
    if card:
        for line in check_against(card, {"judge_prompt": template}, options.model, options.override_card):
            print(f"other than the policy's card: {line}", flush=True)
    return template


def result(drawn: Drawn, measures: Measures, summary: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """The record of the diagnosis, and the page."""
    cases = read_cases()
    inputs = inputs_of(measures)
    prediction = predict(inputs, cases, why_not_trusted(cases))
    unscored = why_not_scored(cases)
    absent = {name: why for name, why in (("judging", drawn.no_judging), ("traces", drawn.no_traces)) if why}
    record = {
        **{name: summary[name] for name in FACTS},
        "measures": asdict(measures),
        "not_measured": absent,
        "inputs": {name: value.as_dict() for name, value in inputs.items()},
        "prediction": _plain(prediction),
        "not_scored": unscored,
    }
    return record, page(summary, measures, absent, prediction, unscored)


def _plain(prediction: Prediction) -> dict[str, Any]:
    return {
        "outcome": prediction.outcome,
        "chances": prediction.chances,
        "reasons": list(prediction.reasons),
        "cases": [
            {"name": case.name, "family": case.family, "record": case.record, "outcome": case.outcome, "distance": away}
            for case, away in prediction.nearest
        ],
    }
