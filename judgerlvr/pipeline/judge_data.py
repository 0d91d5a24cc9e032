"""Prompts of the judge stage: candidates read or sampled, labelled, balanced, rendered, written for verl."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from data.importing.options import ReadOptions
from data.jsonl import write_jsonl
from data.judge_row import judge_row, judge_schema, render_judge_rows
from data.judge_set import JudgeSet, JudgeSetSettings, NothingToJudge, build_judge_set
from data.labelling import Refuse, View
from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, load_template
from data.responses import Candidate, candidates_from_rows, iter_responses
from data.row_files import read_rows
from data.verl_rows import write_parquet
from judgerlvr.config.choices import Extraction
from judgerlvr.config.schema import Config, JudgeData, JudgeStage
from judgerlvr.engine.in_training.validation import RIGHT, WRONG
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.models.prompt_tokens import PromptFilter, check_left, refuse_judge_prompts
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.pipeline.reward_settings import reward_settings
from judgerlvr.pipeline.solving_data import check_unjudged, solving_rows, write_validated
from judgerlvr.runs.metrics import log_phase, log_progress
from judgerlvr.runs.request import Place, Request, make_stage
from judgerlvr.runs.stage import DATA, Counts, Stage, training_file
from judgerlvr.sampling.candidates import KEPT, sample_candidates
from judgerlvr.sampling.match_tokens import matched_prompts
from rewards.errors import CommandFailed, InputError
from rewards.gold_matching import warn_of_golds
from rewards.grading.settings import GradingSettings
from rewards.types import Problem
from rewards.wording import counted

# File of the samples in a run's data.
SAMPLES = "candidates.jsonl"
TRY_OTHERS = (
    "look at the candidates, then give a model that solves some of the problems, other problems, "
    "or a larger judge.data.samples_per_problem"
)


def prepare_judge(request: Request, run_dir: Path, tokenizer: Any, problems: ProblemSets) -> tuple[Stage, Counts]:
    """Write candidates, judge set, data card and parquet files of a judge run. Returns the stage and the counts."""
    config = request.config
    check_held_out(config.judge)
    usable = PromptFilter(tokenizer, config.max_prompt_tokens)
    solving = solving_rows(config.judge.solving.problems, config.data.prompt, usable, problems)
    if not config.judge.data.responses:
        left_out(config.judge.data.prompt, tokenizer, config.max_prompt_tokens, problems.for_candidates)
    candidates, tokens = collect_candidates(request, run_dir, problems)
    log_phase(run_dir, "labelling and balancing the candidates")
    heldout = config.judge.data.heldout_problems
    with _samples_of(None if config.judge.data.responses else run_dir / DATA / SAMPLES):
        judge_set = make_judge_set(config, problems.grading, tokenizer, candidates, heldout, run_dir)
    check_unjudged(solving, problems, judged_problems(judge_set))
    write_judge_set(config.judge.data, run_dir / DATA, judge_set)
    prompts = config.judge.batch.prompts_per_step
    if not isinstance(prompts, int):
        log_phase(run_dir, "measuring the tokens of both kinds of prompt (match_tokens)")
        prompts = matched_prompts(request, request.init, judge_set.train, len(judge_set.train))
    stage = make_stage(request, run_dir, prompts, tokens_before=tokens, **reward_settings(request, tokenizer, run_dir))
    write_validated(stage, solving)
    counts = judge_set.card.counts["candidates"]
    return stage, {"candidates": counts, "candidate_tokens": tokens, "set_aside": dict(judge_set.card.dropped)}


def collect_candidates(request: Request, run_dir: Path, problems: ProblemSets) -> tuple[Iterable[Candidate], int]:
    """(candidates, tokens sampled): the files of the config, or fresh samples kept in the run folder."""
    judge = request.config.judge.data
    if judge.responses:
        return read_candidates(judge, problems.options), 0
    check_candidates(request.config.judge, problems)
    models = [Path(path).resolve() for path in judge.sample_from] or [request.init]
    rows = _sample(request, run_dir, models, problems.for_candidates)
    write_jsonl(run_dir / DATA / SAMPLES, rows)
    return _candidates(rows, problems), sum(row["tokens"] for row in rows)


def judged_problems(judge_set: JudgeSet) -> Iterator[Problem]:
    """The problems whose solutions a judge set trains on, each as often as a solution is shown."""
    return (triplet.problem for triplet in judge_set.train)


def check_held_out(stage: JudgeStage) -> None:
    """Raise an InputError where no problem is held out: the stage measures its judge on such problems."""
    if stage.data.heldout_problems < 1:
        problem = "no problem is held out, and stage 1 measures its judge on held-out problems"
        raise InputError(problem, "set it to 1 or more", field="judge.data.heldout_problems")


def check_candidates(stage: JudgeStage, problems: ProblemSets) -> None:
    """Raise an InputError where the candidates cannot be enough to train on, before anything is sampled."""
    judge, prompts = stage.data, stage.batch.prompts_per_step
    count, heldout = len(problems.for_candidates), judge.heldout_problems
    if heldout >= count:
        problem = f"{counted(heldout, 'problem')} held out, and there are {count}"
        raise InputError(problem, f"set it below {count}, or give more problems", field="judge.data.heldout_problems")
    most = (count - heldout) * most_rows(judge)
    if isinstance(prompts, int) and prompts > most:
        left = counted(count - heldout, "problem")
        problem = f"{prompts} prompts a step, and the candidates of {left} give at most {most}"
        remedy = "set at most that, give more problems, or raise judge.data.samples_per_problem or cap_per_problem"
        raise InputError(problem, remedy, field="judge.batch.prompts_per_step")


def left_out(prompt: str, tokenizer: Any, longest: int, problems: Sequence[Problem]) -> Counter[str]:
    """Problems whose judge prompt cannot be used whatever the response is, by reason. Nothing is sampled for that.

    ``prompt`` is the template's path and ``longest`` the limit in tokens.

    Raises:
        InputError: fewer than half are left.
    """
    refuse = _prompt_refusal(prompt, tokenizer, longest)
    reasons = Counter(reason for problem in problems if (reason := refuse(problem, "")))
    check_left(len(problems), reasons, longest)
    return reasons


def most_rows(judge: JudgeData) -> int:
    """Most rows of a problem whose candidates are sampled: right and wrong ones alike, each up to the cap."""
    alike = max(1, len(judge.sample_from)) * judge.samples_per_problem // 2
    return 2 * min(alike, judge.cap_per_problem or alike)


def read_candidates(judge: JudgeData, options: ReadOptions) -> Iterator[Candidate]:
    """Candidates of all response files, as a stream. Raises InputError for rows that cannot be used."""
    for path in judge.responses:
        yield from iter_responses(path, options)


def resample(problems: ProblemSets, stage: Stage, policy: Path, step: int) -> tuple[Path, int]:
    """Candidates of ``policy`` for the problems not held out. Returns (training parquet, tokens sampled)."""
    config = stage.config
    # Fresh candidates of held-out problems would train on what validation measures.
    heldout = {row["extra_info"]["problem_id"] for row in read_rows(stage.heldout)}
    fresh = [problem for problem in problems.for_candidates if problem.id not in heldout]
    rows = _sample(stage, stage.run_dir, [policy], fresh)
    written = stage.data / f"candidates-{step}.jsonl"
    write_jsonl(written, rows)
    tokenizer = load_tokenizer(policy, config.model.trust_remote_code)
    with _samples_of(written):
        judge_set = make_judge_set(config, problems.grading, tokenizer, _candidates(rows, problems), 0)
    path = stage.data / training_file(step)
    write_parquet(path, render_splits(config.judge.data, judge_set)["train"], judge_schema())
    return path, sum(row["tokens"] for row in rows)


@contextmanager
def _samples_of(written: Path | None) -> Iterator[None]:
    """Samples of the policy that leave nothing to judge are no bad input, but an end of the run. The samples stay.

    Raises:
        CommandFailed: nothing to judge in the samples that are ``written``.
    """
    try:
        yield
    except NothingToJudge as error:
        if written is None:
            raise
        raise CommandFailed(f"{error.fault}; the candidates are kept in {written}; {TRY_OTHERS}") from error


def _candidates(rows: Sequence[dict[str, Any]], problems: ProblemSets) -> list[Candidate]:
    return candidates_from_rows(rows, {problem.id: problem for problem in problems.for_candidates})


def _sample(place: Place, run_dir: Path, models: list[Path], problems: list[Problem]) -> list[dict[str, Any]]:
    config = place.config
    template = load_template(Path(config.data.prompt), GENERATE_FIELDS)
    samples = config.judge.data.samples_per_problem
    log_phase(
        run_dir,
        f"starting an engine, then {counted(samples, 'candidate')} for each of {counted(len(problems), 'problem')}",
    )
    return sample_candidates(place, models, problems, template, run_dir, run_dir / DATA / KEPT)


def make_judge_set(
    config: Config,
    grading: GradingSettings,
    tokenizer: Any,
    candidates: Iterable[Candidate],
    heldout_problems: int,
    run_dir: Path | None = None,
) -> JudgeSet:
    """Decontaminate, label by the verifier, filter prompts, keep mixed problems, balance, hold problems out.

    ``run_dir`` gets lines of progress, and the data folder of the run gets the temporary files of texts.
    """
    settings = judge_set_settings(config, heldout_problems)
    with grading.open_pool() as pool:
        return build_judge_set(
            candidates,
            grade_many=pool.grade_many,
            # Golds of sampled candidates were checked when the problems were read.
            golds=pool if config.judge.data.responses else None,
            warn=lambda problems: warn_of_golds(problems, pool, "candidates"),
            settings=settings,
            refuse=_prompt_refusal(config.judge.data.prompt, tokenizer, config.max_prompt_tokens),
            folder=run_dir / DATA if run_dir else None,
            progress=partial(log_progress, run_dir) if run_dir else None,
        )


def judge_set_settings(config: Config, heldout_problems: int) -> JudgeSetSettings:
    """The settings of the judge set that the configuration asks for."""
    judge = config.judge.data
    return JudgeSetSettings(
        view=View(judge.view.value, config.reward.extraction is Extraction.lenient),
        cap_per_problem=judge.cap_per_problem,
        heldout_problems=heldout_problems,
        seed=config.seed,
        eval_files=[Path(path) for path in config.data.evaluation],
        contamination=config.data.contamination,
        bad_rows=config.data.bad_rows,
        shuffle_labels=judge.shuffle_labels,
    )


def _prompt_refusal(prompt: str, tokenizer: Any, most_tokens: int) -> Refuse:
    """Why the judge prompt of a problem and a shown response cannot be used. ``prompt`` is the template's path."""
    template = load_template(Path(prompt), JUDGE_FIELDS)
    return refuse_judge_prompts(PromptFilter(tokenizer, most_tokens), template)


def write_judge_set(judge: JudgeData, folder: Path, judge_set: JudgeSet) -> None:
    """Render both splits to parquet, a group of rows at a time, beside the data card."""
    for name, rows in render_splits(judge, judge_set).items():
        write_parquet(folder / f"{name}.parquet", rows, judge_schema())
    judge_set.card.write(folder)


def render_splits(judge: JudgeData, judge_set: JudgeSet) -> dict[str, Iterator[dict[str, Any]]]:
    """Rows of both splits. Held-out rows are two sources, so that verl validates each class by itself."""
    template = load_template(Path(judge.prompt), JUDGE_FIELDS)
    heldout = (
        judge_row(triplet, template).to_verl(index, RIGHT if triplet.label else WRONG)
        for index, triplet in enumerate(judge_set.heldout)
    )
    return {"train": render_judge_rows(judge_set.train, template), "heldout": heldout}
