"""The command ``judgerlvr.evaluate``, from parsed options to files."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, cast

from data.importing.options import BadRows, ReadOptions
from data.prompts import GENERATE_FIELDS, load_template
from judgerlvr.cli import parse_engine_options
from judgerlvr.config.effective import configure
from judgerlvr.config.load import resolve_path
from judgerlvr.engine.private.engine_arguments import check_decided, check_engine_arguments
from judgerlvr.evaluation.items import read_generate_items, read_judge_items
from judgerlvr.evaluation.options import check_bounds
from judgerlvr.evaluation.outputs import SUMMARY
from judgerlvr.evaluation.responses import apart, read_stored
from judgerlvr.evaluation.run import (
    Evaluation,
    Settings,
    Source,
    describe_source,
    evaluate_model,
    evaluate_responses,
    write_evaluation,
)
from judgerlvr.evaluation.table import format_summary
from judgerlvr.models.directory import check_model
from judgerlvr.models.finite import check_finite
from judgerlvr.models.hub import model_directory
from judgerlvr.models.places import check_output_apart
from judgerlvr.models.prompt_tokens import template_opens_thinking
from judgerlvr.runs.folder import check_writable
from judgerlvr.runs.policy_card import CARD, check_against, read_card
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.samples import Item
from rewards.errors import InputError
from rewards.verdict import DEFAULT_WORDS, check_words
from rewards.verifier import DEFAULT_VERIFIER, load_verifier


def check_arguments(options: argparse.Namespace) -> None:
    sampled = bool(options.data or options.judge_data)
    if sampled == bool(options.responses):
        raise InputError("nothing or too much to evaluate", "give either --data/--judge-data or --responses")
    if sampled and options.model is None:
        raise InputError("no model to sample from", "give --model DIR")
    check_bounds(options)
    if options.out and options.out.exists() and not options.out.is_dir():
        raise InputError("is a file", "give a folder for --out", file=options.out)
    if options.out:
        check_writable(options.out, "give another --out")
        check_output_apart(options.out, read_folders(options))


def read_folders(options: argparse.Namespace) -> list[Path]:
    """Where the model, problems and prompts of the options lie. A name of the hub is no folder."""
    models = [options.model] if options.model else []
    return [resolve_path(path) for path in (*models, *options.data, *options.judge_data, *options.responses)]


# An evaluation that agrees in these is the same one, given again.
SAME = ("data", "limit", "engine", "settings")
# What holds without a card.
DEFAULTS = {
    "prompt": Path("configs/prompts/generate.txt"),
    "max_tokens": 1024,
    "verifier": DEFAULT_VERIFIER,
    "extraction": "strict",
    "verdicts": list(DEFAULT_WORDS),
}


def fill_from_card(options: argparse.Namespace) -> None:
    """Complete the options from the card of the policy, else from the defaults.

    Raises:
        InputError: an option that differs from the card in what a number means, without ``--override-card``.
    """
    card = read_card(options.model) if options.model else None
    options.template, options.whole_limit = None, options.max_tokens is not None
    if card:
        for line in check_against(card, _wanted(options), options.model, options.override_card):
            print(f"other than the policy's card: {line}", flush=True)
        if options.prompt is None and card.generation_prompt is not None:
            options.template, options.prompt = card.generation_prompt, options.model / CARD
        _fill(options, {"max_tokens": card.max_response_tokens, "verdicts": card.verdicts and list(card.verdicts)})
        _fill(options, {"verifier": card.verifier, "extraction": card.extraction})
    # Options of the command line come first, then the card, and the defaults fill the rest.
    _fill(options, DEFAULTS)


def _fill(options: argparse.Namespace, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if getattr(options, name) is None:
            setattr(options, name, value)


def _wanted(options: argparse.Namespace) -> dict[str, Any]:
    """What the command line itself asks for, by the names of the card."""
    prompt = options.prompt and load_template(resolve_path(options.prompt), GENERATE_FIELDS)
    asked = {
        "generation_prompt": prompt,
        "verdicts": options.verdicts and tuple(options.verdicts),
        "extraction": options.extraction,
        "verifier": options.verifier,
        "max_response_tokens": options.max_tokens,
    }
    return {name: value for name, value in asked.items() if value is not None}


def settings_of(options: argparse.Namespace) -> Settings:
    # Greedy samples of a prompt are all alike.
    n = 1 if options.temperature == 0 else options.n
    return Settings(
        decoding=Decoding(n, options.temperature, options.top_p, options.max_tokens, options.seed),
        prompt=str(options.prompt),
        verifier=options.verifier,
        extraction=options.extraction,
        verdicts=tuple(options.verdicts),
        min_check_tokens=options.min_check_tokens,
        workers=options.workers,
    )


def read_options(options: argparse.Namespace) -> ReadOptions:
    """How files are read, by the words of ``--import`` and the verifier.

    Raises:
        InputError: a key that does not say how files are read.
    """
    if others := [word for word in options.reading if not word.startswith(("data.columns.", "data.bad_rows="))]:
        raise InputError(f"--import {others[0]!r}", "give data.columns.ROLE=COLUMN or data.bad_rows=stop|drop")
    data = configure(None, options.reading).config.data
    needed = load_verifier(options.verifier).needs_gold
    return ReadOptions(dict(data.columns), cast(BadRows, data.bad_rows), needed)


def read_items(options: argparse.Namespace) -> tuple[list[Item], list[Source]]:
    """The items of all files, cut to the limit, and their sources."""
    template = options.template or load_template(resolve_path(options.prompt), GENERATE_FIELDS)
    reading = read_options(options)  # a wrong name must not cost an engine's start
    files = [(path, read_generate_items(path, template, reading)) for path in options.data]
    files += [(path, read_judge_items(path)) for path in options.judge_data]
    used = [(path, items, items[: options.limit]) for path, items in files]
    sources = [describe_source(path, len(items), len(kept)) for path, items, kept in used]
    return [item for _, _, kept in used for item in kept], sources


def engine_options(pairs: Sequence[str]) -> dict[str, Any]:
    """The arguments of ``--engine``.

    Raises:
        InputError: a pair without a value, or a name that vLLM does not know.
    """
    arguments = parse_engine_options(pairs)
    check_engine_arguments(arguments, "--engine ")
    check_decided(arguments, "--engine ")
    return arguments


def sample_and_grade(options: argparse.Namespace, settings: Settings) -> tuple[Evaluation, list[Source]]:
    items, sources = read_items(options)
    # Bad words and bad engine options must not cost an engine's start.
    check_words(settings.verdicts)
    engine = engine_options(options.engine)
    tokenizer = check_model(options.model, longest=1)
    check_finite(options.model)
    card, opens = read_card(options.model), template_opens_thinking(tokenizer)
    if card and card.thinking_open != opens:
        print(
            f"other than the policy's card: thinking_open: {card.thinking_open} on the card, {opens} here", flush=True
        )
    progress = sys.stderr.isatty()
    return evaluate_model(options.model, items, settings, engine, progress, options.whole_limit), sources


def grade_stored(options: argparse.Namespace, settings: Settings) -> tuple[Evaluation, list[Source]]:
    reading = read_options(options)
    files = [(path, read_stored(path, options.model, reading)) for path in options.responses]
    files = [(path, apart(path, samples)) for path, samples in files] if len(files) > 1 else files
    used = [(path, samples, samples[: options.limit]) for path, samples in files]
    sources = [describe_source(path, len(samples), len(kept)) for path, samples, kept in used]
    return evaluate_responses([sample for _, _, kept in used for sample in kept], settings), sources


def default_name(evaluated: Path, summary: dict[str, Any]) -> str:
    """The name of the model or file with the start of its hash, so that no evaluation overwrites another model's."""
    digest = summary["model"]["hash"] if summary["model"] else summary["data"][0]["sha256"]
    return f"{evaluated.stem}-{digest[:8]}"


def free_folder(folder: Path, summary: dict[str, Any]) -> Path:
    """``folder``, or with a number behind where an evaluation of other data or settings lies in ``folder``."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(path for path in chain([folder], numbered) if _may_take(path / SUMMARY, summary))


def _may_take(path: Path, summary: dict[str, Any]) -> bool:
    if not path.exists():
        return True
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        return all(before[name] == json.loads(json.dumps(summary[name])) for name in SAME)
    except (ValueError, KeyError):
        # Another's file, or a damaged one. The samples of this evaluation must not be lost for that.
        return False


def evaluate(options: argparse.Namespace) -> None:
    check_arguments(options)
    options.model = options.model and model_directory(options.model)
    fill_from_card(options)
    settings = settings_of(options)
    evaluation, sources = (grade_stored if options.responses else sample_and_grade)(options, settings)
    summary = evaluation.summary(settings, sources, options.model, options.limit)
    named = Path("runs/eval") / default_name(options.model or options.responses[0], summary)
    folder = options.out or free_folder(named, summary)
    write_evaluation(folder, evaluation, summary)
    print(format_summary(summary))
    print(f"written: {folder / 'samples.jsonl'}, {folder / 'summary.json'}")
