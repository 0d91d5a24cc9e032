"""Checks that read the data, render the first prompt and plan the stage. ``--dry-run`` and the doctor make them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data.identity import shown_text
from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, as_chat, load_template, render
from data.verl_rows import render_generate_rows
from judgerlvr.models.prompt_tokens import Chat, PromptFilter, drop_unusable, encode_prompt
from judgerlvr.pipeline.checkup.findings import Check, Finding, ok, warning
from judgerlvr.pipeline.checkup.subject import Subject
from judgerlvr.pipeline.export import check_link, check_outside
from judgerlvr.pipeline.generate_data import shown_data
from judgerlvr.pipeline.judge_data import (
    check_candidates,
    check_held_out,
    judged_problems,
    left_out,
    make_judge_set,
    read_candidates,
    render_splits,
)
from judgerlvr.pipeline.solving_data import check_unjudged, solving_rows
from judgerlvr.planning.constraints import check_constraints
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import free_gib, machine_of
from judgerlvr.planning.plan import make_plan
from judgerlvr.planning.report import cpu_time_lines, plan_lines, require_room, storage_lines, verdict_lines
from judgerlvr.planning.rollout_arguments import uncounted, uncounted_lines
from judgerlvr.planning.storage import storage, storage_shortfalls
from judgerlvr.runs.folder import check_space, existing_run, nearest
from judgerlvr.runs.object_storage import check_storage
from rewards.canary import canary
from rewards.errors import InputError
from rewards.wording import counted

PLACEHOLDER = "(a sampled solution)"


def data(subject: Subject) -> Iterator[Finding]:
    """Problems are read, are apart from each other, and have golds that answers can match."""
    problems = subject.problems
    found = f"{len(problems.train)} training problems, {len(problems.heldout)} held out"
    yield ok(found, *subject.notes)
    for line in subject.warnings:
        given = (*subject.config.data.train, *subject.config.data.heldout)
        sources = " ".join(source for source in given if line.startswith(f"{Path(source)}: "))
        yield warning(line, f"mend or leave out the rows that `judgerlvr inspect_data {sources} --golds` lists")
    if subject.config.data.train and not problems.heldout:
        yield warning("nothing is held out, so nothing is validated", "give data.heldout")


class FirstPrompt(NamedTuple):
    """The first prompt, the number of usable rows where known, rows left out by reason, and a note."""

    chat: Chat
    rows: int | None = None
    left_out: Mapping[str, int] = {}
    note: str = ""


def first_prompt(subject: Subject) -> Iterator[Finding]:
    """The prompt that the first sample would be drawn for. Response files become a whole judge set for that."""
    config, request = subject.config, subject.request
    found = _judge_prompt(subject) if request.kind == "judge" else _generate_prompt(subject)
    if found.rows is not None:
        check_constraints(load_of(request.kind, config), subject.shape, request.device, rows=found.rows)
    ids = encode_prompt(subject.tokenizer, found.chat)
    text = f"first prompt has {len(ids)} of at most {counted(config.max_prompt_tokens, 'token')}{found.note}"
    yield ok(text, *subject.tokenizer.decode(ids).splitlines())
    total = sum(found.left_out.values())
    if total:
        shown = ", ".join(f"{reason}: {count}" for reason, count in sorted(found.left_out.items()))
        yield warning(
            f"{counted(total, 'prompt')} left out ({shown})", "raise max_prompt_tokens, or mend these problems"
        )


def _generate_prompt(subject: Subject) -> FirstPrompt:
    config = subject.config
    prompts = PromptFilter(subject.tokenizer, config.max_prompt_tokens)
    template = load_template(Path(config.data.prompt), GENERATE_FIELDS)
    rows, dropped = drop_unusable(render_generate_rows(subject.problems.train, template), prompts, shown_data)
    return FirstPrompt(list(rows[0]["prompt"]), len(rows), dropped)


def _judge_prompt(subject: Subject) -> FirstPrompt:
    config = subject.config
    judge = config.judge.data
    check_held_out(config.judge)
    usable = PromptFilter(subject.tokenizer, config.max_prompt_tokens)
    solving = solving_rows(config.judge.solving.problems, config.data.prompt, usable, subject.problems)
    if judge.responses:
        candidates = read_candidates(judge, subject.problems.options)
        judge_set = make_judge_set(config, subject.grading, subject.tokenizer, candidates, judge.heldout_problems)
        check_unjudged(solving, subject.problems, judged_problems(judge_set))
        first = list(next(render_splits(judge, judge_set)["train"])["prompt"])
        note = f"; judge set: {json.dumps(dict(judge_set.card.counts))}{_solved(solving)}"
        return FirstPrompt(first, len(judge_set.train), note=note)
    check_candidates(config.judge, subject.problems)
    template = load_template(Path(judge.prompt), JUDGE_FIELDS)
    shown = {"problem": shown_text(subject.problems.train[0]), "response": PLACEHOLDER}
    problems = subject.problems.for_candidates
    dropped = left_out(judge.prompt, subject.tokenizer, config.max_prompt_tokens, problems)
    return FirstPrompt(as_chat(render(template, shown)), left_out=dropped, note=_solved(solving))


def _solved(rows: Sequence[object]) -> str:
    """A note on the held-out problems that the judge's policy solves."""
    return f"; {counted(len(rows), 'held-out problem')} to solve at each validation" if rows else ""


def first_gold(subject: Subject) -> Iterator[Finding]:
    """The first gold answer is graded as correct against itself."""
    problem = subject.problems.train[0]
    if problem.gold is None:
        yield ok("the first problem has no gold answer to try")
        return
    with subject.grading.open_pool(workers=1) as pool:
        if failures := canary(pool, [problem]):
            remedy = "mend the gold answer, or set reward.verifier to one that reads it and that ends"
            raise InputError(f"the grader fails on a gold answer: {failures[0]}", remedy)
    yield ok(f"gold {problem.gold!r} graded against itself is correct")


def plan(subject: Subject) -> Iterator[Finding]:
    """What the stage takes of cards, hosts, disk and time.

    Raises:
        InputError: by the plan the stage does not fit. The message says by how much, and what would fit.
    """
    config, request, shape = subject.config, subject.request, subject.shape
    if shape is None:
        yield ok("no plan: the planner knows Qwen3, Qwen3-MoE and HySparse")
        return
    there = machine_of(config.planning, Path(config.runs), request.device)
    if request.device == "gpu":
        made = make_plan(request.kind, config, shape, there)
        lines, shortfalls, change = plan_lines(made), made.shortfalls, made.change
    else:
        load = load_of(request.kind, config)
        kept = storage(shape, load, request.settings, "cpu", config.cluster.rollout_cpu_gib)
        shortfalls, change = storage_shortfalls(kept, there), ""
        times = cpu_time_lines(config.planning.measured, load)
        named = uncounted_lines(uncounted(config.cluster, config.engine, "cpu"))
        lines = [*storage_lines(kept, there), *times, *named, *verdict_lines(shortfalls, change)]
    steps = f"at most {counted(request.settings.stop.steps, 'step')}"
    yield ok(f"{steps}; by the plan the stage {'does not fit' if shortfalls else 'fits'}", *lines)
    require_room(shortfalls, change)


def disk(subject: Subject) -> Iterator[Finding]:
    """Room for the run, a store that takes copies, and a name that the finished policy can take."""
    config, request = subject.config, subject.request
    runs = Path(config.runs)
    check_space(nearest(runs))
    check_outside(request.link, request.folder)
    if request.settings.checkpoint.upload:
        check_storage(request.settings.checkpoint.upload)
    check_link(request.link, None if subject.new else existing_run(request.folder))
    yield ok(f"{free_gib(runs):.0f} GiB free for {runs}; the policy will be {request.link}")


DATA = (
    Check("data", data, needs=("verifier",)),
    Check("prompt", first_prompt, needs=("model", "verifier", "data", "prompt")),
    Check("verifier", first_gold, needs=("verifier", "data")),
    Check("cluster", plan, needs=("model",)),
    Check("disk", disk),
)
