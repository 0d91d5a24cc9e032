"""Validation inside training and offline evaluation grade and summarise by the same functions, and agree."""

import asyncio
import inspect

import pytest

from data.judge_row import write_label
from judgerlvr.engine.in_training import validation
from judgerlvr.engine.in_training.trainer import StageTrainer
from judgerlvr.engine.in_training.validation import RIGHT, SOLVING, WRONG, held_out, with_sizes
from judgerlvr.evaluation import metrics
from judgerlvr.evaluation.grading import grade_samples, summarise_sets
from judgerlvr.evaluation.run import Settings, open_grader
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.samples import Item, Sample
from rewards.types import Problem
from rewards.verl_adapter import compute_score

RESPONSES = {
    "generate": ["\\boxed{2}", "\\boxed{3}", "two", "\\boxed{2.0}"],
    "judge": ["\\boxed{Yes}", "\\boxed{No}", "?"],
}
# Problem, label (None for a generate prompt), and the places of its responses. Problems have uneven numbers of samples.
PROMPTS = [
    ("a", None, [0, 0, 1, 3]),
    ("b", None, [2]),
    ("c", None, [1, 0]),
    ("d", True, [0, 0, 1]),
    ("e", False, [1, 2, 0]),
    ("f", True, [2, 0, 0]),
]


def samples():
    for name, label, places in PROMPTS:
        texts = RESPONSES["generate" if label is None else "judge"]
        item = Item(name, "heldout", Problem(name, "1+1?", "2"), [], label)
        yield from (Sample(item, index, texts[place], tokens=5) for index, place in enumerate(places))


def trained_figures():
    """The figures of training, from the reward function that verl calls."""
    found = []
    for sample in samples():
        label = sample.item.label
        kind, truth = ("generate", "2") if label is None else ("judge", write_label(label))
        info = asyncio.run(compute_score(kind, sample.response, truth, {"kind": kind, "id": sample.item.id}))
        source = kind if label is None else (RIGHT if label else WRONG)
        found.append((source, sample.item.id, info))
    infos = {name: [info[name] for _, _, info in found] for name in ("acc", "verdict")}
    return held_out([source for source, _, _ in found], [prompt for _, prompt, _ in found], infos, {})


def offline_rows():
    settings = Settings(Decoding(n=4), workers=1)
    with open_grader(settings) as grader:
        return summarise_sets(grade_samples(list(samples()), grader, settings.decoding), settings.decoding)


def test_training_and_offline_evaluation_agree():
    generate, judge = offline_rows()
    figures = trained_figures()
    assert (
        figures["validation/accuracy/generate"] == generate["accuracy"]["value"] == pytest.approx((0.75 + 0 + 0.5) / 3)
    )
    assert figures["validation/balanced_accuracy"] == judge["judge"]["balanced_accuracy"]["value"]


def test_both_call_one_function():
    assert validation.problem_means is metrics.problem_means
    assert inspect.getmodule(validation.balanced_accuracy_of) is inspect.getmodule(metrics.balanced_accuracy)


def test_a_sample_that_never_came_is_wrong_and_no_verdict():
    infos = {"acc": [1.0, 1.0, 1.0], "verdict": [1.0, 0.0, 0.0]}
    expected = {(RIGHT, "p"): 2, (WRONG, "q"): 2}
    figures = held_out([RIGHT, WRONG, WRONG], ["p", "q", "q"], infos, expected)
    assert figures["validation/accuracy/judge_right"] == 0.5
    assert figures["validation/balanced_accuracy"] == 0.75


def solutions(scores, tokens=None, truncated=None):
    """Records of solutions, beside one record of judging that has no sizes."""
    count = len(scores)
    infos = {
        "acc": [1.0, *scores],
        "verdict": [1.0, *[-1.0] * count],
        "tokens": [None, *(tokens or [5] * count)],
        "truncated": [None, *(truncated or [0.0] * count)],
    }
    return [RIGHT, *[SOLVING] * count], infos


def test_solutions_have_figures_of_their_own():
    sources, infos = solutions([1.0, 0.0, 0.0], tokens=[4, 8, 9], truncated=[0.0, 0.0, 1.0])
    figures = held_out(sources, ["j", "p", "p", "q"], infos, {})
    assert figures == {
        "validation/accuracy/judge_right": 1.0,
        "validation/solving/accuracy": 0.25,  # problems weigh the same
        "validation/solving/mean_tokens": 7.0,
        "validation/solving/truncated": pytest.approx(1 / 3),
    }


def test_a_solution_that_never_came_is_wrong_and_has_no_length():
    sources, infos = solutions([1.0], tokens=[6])
    figures = held_out(sources, ["j", "p"], infos, {(SOLVING, "p"): 2, (SOLVING, "q"): 2})
    assert figures["validation/solving/accuracy"] == 0.25
    assert figures["validation/solving/mean_tokens"] == 6.0


@pytest.mark.parametrize("score", [float("nan"), None])
def test_a_score_that_is_no_number_is_wrong(score):
    sources, infos = solutions([score, 1.0])
    assert held_out(sources, ["j", "p", "q"], infos, {})["validation/solving/accuracy"] == 0.5


def test_no_solution_at_all_is_accuracy_0():
    sources, infos = solutions([])
    figures = held_out(sources, ["j"], infos, {(SOLVING, "p"): 1})
    assert figures["validation/solving/accuracy"] == 0.0
    assert "validation/solving/mean_tokens" not in figures


def test_solutions_leave_the_figures_of_judging_alone():
    infos = {"acc": [1.0, 0.0], "verdict": [1.0, 1.0]}
    alone = held_out([RIGHT, WRONG], ["a", "b"], infos, {})
    sources, more = solutions([0.0, 0.0])
    both = {name: [*infos.get(name, [None] * 2), *values[1:]] for name, values in more.items()}
    figures = held_out([RIGHT, WRONG, *sources[1:]], ["a", "b", "p", "q"], both, {})
    assert {name: figures[name] for name in alone} == alone


def test_records_of_other_samples_get_no_sizes():
    graded = {"acc": 1.0}
    assert with_sizes(graded, RIGHT, 5, True) == graded
    assert with_sizes(graded, SOLVING, 5, True) == {"acc": 1.0, "tokens": 5, "truncated": 1.0}


def test_one_class_alone_has_no_balanced_accuracy():
    figures = held_out([RIGHT], ["p"], {"acc": [1.0], "verdict": [1.0]}, {})
    assert list(figures) == ["validation/accuracy/judge_right"]


def test_the_trainer_adds_these_figures_to_verls_own():
    """verl's method needs no state of the trainer. With even numbers of samples both averages are the same."""
    trainer = StageTrainer.__new__(StageTrainer)
    infos = {"acc": [1.0, 0.0, 1.0, 1.0], "reward": [1.0, 0.0, 1.0, 1.0], "verdict": [-1.0] * 4}
    expected = {("generate", "p"): 2, ("generate", "q"): 2}
    figures = trainer._val_metrics_update(["generate"] * 4, ["p", "p", "q", "q"], infos, [], expected)
    assert figures["validation/accuracy/generate"] == figures["val-core/generate/acc/mean@2"] == 0.75
