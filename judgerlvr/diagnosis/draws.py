"""One engine draws everything that a diagnosis measures: solutions, greedy solutions, and verdicts on the solutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data.judge_row import judge_row
from data.judge_set import JudgeSetSettings, build_judge_set
from data.labelling import Refuse, Triplet, View
from data.problems import GradeMany
from data.responses import candidates_from_rows
from judgerlvr.diagnosis.world_traces import TraceReader, read_traces
from judgerlvr.evaluation.records import Record
from judgerlvr.evaluation.run import Evaluation, Settings, check_limit, open_grader
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.models.prompt_tokens import PromptFilter, refuse_judge_prompts
from judgerlvr.sampling.candidates import candidate_row
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.requests import Prompts
from judgerlvr.sampling.samples import Item, Sample
from rewards.errors import InputError
from rewards.extraction.thinking import prompt_opens_thinking
from rewards.gold_matching import warn_of_golds
from rewards.types import Problem

JUDGING = "judge prompts"
# Sets of solutions whose rechecks are forced. The text of each tells how.
NO_RECHECKS, EVERY_STEP = "solutions without rechecks", "solutions with every step rechecked"
FORCED = (NO_RECHECKS, EVERY_STEP)
CAP = 4  # candidates of each class that are judged of a problem


@dataclass(frozen=True)
class Question:
    """What a model is asked: problems to solve, how to sample and grade, and the template of the judge prompt.

    ``verdicts_on`` are judge prompts that another model's solutions gave. None: prompts of the model's own solutions.
    ``context`` is the least context of the engine in tokens.
    """

    items: Sequence[Item]
    settings: Settings
    judge_template: str
    verdicts_on: Sequence[Item] | None = None
    context: int = 0

    @property
    def problems(self) -> dict[str, Problem]:
        return {item.problem.id: item.problem for item in self.items}


@dataclass
class Drawn:
    """Graded samples. ``shortcuts`` are balanced accuracies on the judge set, and ``shown`` the judged solutions by id.

    ``candidates`` are the solutions at temperature 1 as rows of candidates, and ``judge_items`` the judge prompts.
    ``no_judging`` and ``no_traces`` say why a part could not be measured, None where the part was measured.
    """

    evaluation: Evaluation = field(default_factory=Evaluation)
    shortcuts: Mapping[str, float] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    candidates: Sequence[dict[str, Any]] = ()
    judge_items: Sequence[Item] = ()
    reader: TraceReader | None = None
    no_judging: str | None = None
    no_traces: str | None = None

    def records(self, kind: str, greedy: bool = False, forced: str = "") -> list[Record]:
        """Records of a kind and decoding. ``forced`` is a name of ``FORCED``, empty for plain samples."""
        return [
            record
            for record in self.evaluation.records
            if (record.kind, record.decoding == "greedy") == (kind, greedy)
            and (record.set if record.set in FORCED else "") == forced
        ]


def draw(
    model_dir: Path,
    question: Question,
    engine: Mapping[str, Any] | None = None,
    progress: bool = False,
    whole_limit: bool = False,
) -> Drawn:
    """Sample solutions, greedy solutions, verdicts, and solutions of forced rechecks where traces can be read.

    Raises:
        InputError: ``whole_limit`` asks for responses of the whole limit, and the model's context is too short.
    """
    from judgerlvr.sampling.sampler import Sampler

    settings, tokenizer = question.settings, load_tokenizer(model_dir)
    prompts = Prompts(model_dir, question.items, engine)
    check_limit(prompts, settings.decoding.max_tokens, whole_limit, model_dir)
    drawn = Drawn()
    drawn.reader, drawn.no_traces = read_traces(question.problems, tokenizer)
    with Sampler(model_dir, _context(prompts, question, tokenizer), engine) as sampler:
        drawn.evaluation.context = sampler.context
        # The chat template decides for every prompt alike, so the first prompt is enough.
        with open_grader(settings, prompt_opens_thinking(prompts.text(0))) as grader:
            warn_of_golds(list(question.problems.values()), grader, "diagnosis")

            def add(asked: Prompts, decoding: Decoding) -> list[Sample]:
                return keep(sampler.sample(asked, decoding, progress), decoding)

            def keep(samples: list[Sample], decoding: Decoding) -> list[Sample]:
                drawn.evaluation.add(samples, decoding, grader, settings)
                return samples

            solutions = add(prompts, settings.decoding)
            add(prompts, settings.decoding.as_greedy())
            if reader := drawn.reader:
                without = sampler.sample(prompts, settings.decoding, progress, reader.banned)
                keep(_renamed(without, NO_RECHECKS), settings.decoding)
                every = sampler.sample_steered(prompts, settings.decoding, reader.every_step)
                keep(_renamed(every, EVERY_STEP), settings.decoding)
            drawn.candidates = [candidate_row(one, "model") for one in solutions if one.response.strip()]
            drawn.judge_items = question.verdicts_on or ()
            if question.verdicts_on is None:
                refuse = refuse_judge_prompts(PromptFilter(tokenizer, sampler.context - 1), question.judge_template)
                drawn.judge_items = _judge_items(drawn, question, grader.grade_many, refuse)
            if drawn.judge_items:
                judged = Prompts(model_dir, drawn.judge_items, {"max_model_len": sampler.context})
                _judge(add, judged, settings.decoding)
    return drawn


def _context(prompts: Prompts, question: Question, tokenizer: Any) -> int:
    """Tokens that the engine must hold: a judge prompt shows a problem and a whole solution, and has a response."""
    template = len(tokenizer.encode(question.judge_template, add_special_tokens=False))
    wanted = max(prompts.longest + template + 2 * question.settings.decoding.max_tokens, question.context)
    return min(wanted, prompts.model_context or wanted)


def _renamed(samples: Sequence[Sample], name: str) -> list[Sample]:
    return [replace(sample, item=replace(sample.item, set=name)) for sample in samples]


def _judge(add: Callable[[Prompts, Decoding], list[Sample]], prompts: Prompts, decoding: Decoding) -> None:
    """A verdict on each prompt at temperature 1, and a greedy one."""
    for one in (replace(decoding, n=1), decoding.as_greedy()):
        add(prompts, one)


def _judge_items(drawn: Drawn, question: Question, grade_many: GradeMany, refuse: Refuse) -> list[Item]:
    """Judge prompts of a balanced judge set, made from the candidates as stage 1 makes its set."""
    candidates = candidates_from_rows(drawn.candidates, question.problems)
    settings = JudgeSetSettings(
        view=View(lenient=question.settings.extraction == "lenient"),
        cap_per_problem=CAP,
        seed=question.settings.decoding.seed,
    )
    try:
        judge_set = build_judge_set(candidates, grade_many=grade_many, settings=settings, refuse=refuse)
    except InputError as error:
        # A model that solves all problems or none has nothing to judge, and the other parts hold all the same.
        drawn.no_judging = error.problem
        return []
    triplets = list(judge_set.train)
    drawn.shortcuts, drawn.shown = judge_set.card.baselines, {one.id: one.response for one in triplets}
    return [_judge_item(triplet, question.judge_template) for triplet in triplets]


def _judge_item(triplet: Triplet, template: str) -> Item:
    row = judge_row(triplet, template)
    return Item(row.id, JUDGING, Problem(row.problem_id, row.problem), row.prompt, row.label)
