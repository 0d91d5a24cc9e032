"""Figures of a curve's point against hand counts over written responses."""

import random

import pytest
import torch

from benchmarks.lab.evaluation import COLD_TEMPERATURES, TEMPERATURES, Evaluator
from benchmarks.lab.judge_pool import Pool
from benchmarks.lab.sampler import Style
from benchmarks.lab.worlds.base import TOKENS, Traces
from benchmarks.lab.worlds.chain import VALUES, ChainConfig, ChainWorld
from tests.lab.written import END, LENGTH, NO_VERDICT, SAYS_RIGHT, SAYS_WRONG, VOID, WrittenSampler, answer_of

ANSWER = TOKENS.answer
RUNS, ROWS, GROUP = 2, 12, 4
FREE, GREEDY, NONE, EVERY = "", "greedy_", "none_", "every_"
STYLES = {FREE: (1.0, 0), GREEDY: (0.0, 0), NONE: (1.0, int(Style.NONE)), EVERY: (1.0, int(Style.EVERY))}
HEATED = {f"t{heat}_": (heat, 0) for heat in TEMPERATURES}
COLD = {f"t{heat}_": (heat, 0) for heat in COLD_TEMPERATURES}


@pytest.fixture
def world():
    return ChainWorld(ChainConfig(least_steps=1, most_steps=2), torch.device("cpu"))


@pytest.fixture
def heldout(world, draw):
    problems = world.problems(3, draw)
    return Pool(problems, problems["gold"], (problems["gold"] + 1) % 30, 0)


def answered(world, asked, run, row, right):
    """A right answer of 3 tokens, or a wrong one of 5."""
    prompts = asked.prompts[run]
    value = answer_of(world, prompts[row * len(prompts) // ROWS])
    return [ANSWER, VALUES + value, END] if right else [ANSWER, ANSWER, ANSWER, VALUES + (value + 1) % 30, END]


def evaluator_of(world, solve=None, judge=None, heldout=None):
    solver = WrittenSampler(RUNS, ROWS, solve or (lambda asked, run, row: answered(world, asked, run, row, True)))
    return Evaluator(world, solver, WrittenSampler(RUNS, ROWS, judge), heldout, GROUP)


def right_by_kind(kinds):
    """A writer that is right on the first rows: one more for each kind of sampling, and one more in the second run."""
    places = {asked: place for place, asked in enumerate(kinds.values())}
    return lambda asked, run, row: row < places[asked.temperature, asked.style] + run


def solved(world, right):
    return lambda asked, run, row: answered(world, asked, run, row, right(asked, run, row))


@pytest.mark.parametrize("prefix", [*STYLES, *HEATED])
def test_accuracy_and_tokens_of_each_way_to_sample(world, prefix):
    kinds = STYLES | HEATED
    points = evaluator_of(world, solved(world, right_by_kind(kinds))).points({}, full=True)
    for run, point in enumerate(points):
        right = list(kinds).index(prefix) + run
        assert point[prefix + "accuracy"] == pytest.approx(right / ROWS, abs=1e-5)
        assert point[prefix + "tokens"] == pytest.approx((3 * right + 5 * (ROWS - right)) / ROWS, abs=1e-5)


@pytest.mark.parametrize("prefix", COLD)
def test_accuracy_of_each_cold_temperature(world, prefix):
    points = evaluator_of(world, solved(world, right_by_kind(COLD))).cold_points({})
    assert [point[prefix + "accuracy"] * ROWS for point in points] == pytest.approx(
        [list(COLD).index(prefix) + run for run in range(RUNS)], abs=1e-3
    )


def test_a_full_point_is_the_mean_of_two_batches(world):
    """Three right answers in the first batch, and nine in the second."""
    made = evaluator_of(world, solved(world, lambda asked, run, row: row < (3, 9)[len(made.solver.asked) - 1]))
    table = made.solve({}, torch.Generator().manual_seed(1), "", batches=2)
    assert table["accuracy"].tolist() == [0.5, 0.5]
    assert table["entropy"].tolist() == pytest.approx([1.5, 1.6])  # of samplings 1 and 2
    first, second = (asked.prompts for asked in made.solver.asked)
    assert first != second


def test_tokens_by_answer_and_shares_of_responses(world):
    """Of twelve responses six are right, four are wrong, one is cut, and one ends without an answer."""
    cut, shapeless = [ANSWER] * LENGTH, [END]

    def write(asked, run, row):
        return answered(world, asked, run, row, row < 6) if row < 10 else cut if row == 10 else shapeless

    for point in evaluator_of(world, write).points({}, full=False):
        assert point["tokens_right"] == 3
        assert point["tokens_wrong"] == pytest.approx((4 * 5 + LENGTH + 1) / 6, abs=1e-5)
        assert point["well_formed"] == pytest.approx(10 / ROWS, abs=1e-5)
        assert point["truncated"] == pytest.approx(1 / ROWS, abs=1e-5)


@pytest.mark.parametrize(
    ("right", "mixed"), [((0, 0, 0), 0), ((4, 4, 4), 0), ((1, 0, 0), 1), ((3, 4, 2), 2), ((1, 2, 3), 3)]
)
def test_mixed_groups_have_right_and_wrong_answers(world, right, mixed):
    """Of three groups of four responses so many are right in each."""
    made = evaluator_of(world, solved(world, lambda asked, run, row: row % GROUP < right[row // GROUP]))
    assert made.mixed_groups({}, torch.Generator().manual_seed(1)).tolist() == pytest.approx([mixed / 3] * RUNS)
    assert len(made.solver.asked[0].prompts[0]) == ROWS // GROUP


LINE_OF_PROMPT = slice(3, 6)  # label, operation and operand of the first step


def verdicts(seed):
    """A writer that draws a verdict for each response, some behind a line that states the first step."""
    draw = random.Random(seed)

    def write(asked, run, row):
        prompt = asked.prompts[run][row * len(asked.prompts[run]) // ROWS]
        label, operation, operand = prompt[LINE_OF_PROMPT]
        line = [label, prompt[2], operation, operand, VALUES + draw.randrange(30)]
        shown = [label, prompt[2], operation, operand, prompt[6]]
        return [*draw.choice([[], line, shown]), *draw.choice([SAYS_RIGHT, SAYS_WRONG, NO_VERDICT, VOID])]

    return write


def naive_counts(heldout, world, responses):
    """Sums over one run's responses, each response alone. Each held-out problem has its right candidate first."""
    found = dict.fromkeys(
        ("right", "wrong", "no_of_right", "yes_of_wrong", "says_right", "shaped", "tokens", "checked", "follows"), 0
    )
    times = ROWS // (2 * len(heldout))
    for row, response in enumerate(responses):
        pair = row // times
        problem, label = pair // 2, pair % 2 == 0
        candidate = (heldout.right if label else heldout.wrong)[problem]
        end = response[-3:]
        paid = end == (SAYS_RIGHT if label else SAYS_WRONG) and VOID[0] not in response
        found["right" if label else "wrong"] += 1
        found["no_of_right"] += label and not paid
        found["yes_of_wrong"] += (not label) and not paid
        found["says_right"] += end == SAYS_RIGHT
        found["shaped"] += end in (SAYS_RIGHT, SAYS_WRONG)
        found["tokens"] += len(response)
        one = {name: value[problem : problem + 1] for name, value in heldout.problems.items()}
        traces = Traces(torch.tensor([response]), torch.tensor([len(response)]))
        counted = world.judge_counts(one, candidate[None], traces)
        found["checked"] += int(counted["checked"])
        found["follows"] += int(counted["verdict_follows"])
    return found


@pytest.fixture(params=range(4))
def judging(request, world, heldout):
    """(points of an evaluation, hand counts of each run)."""
    responses = [[] for _ in range(RUNS)]
    write = verdicts(request.param)

    def kept(asked, run, row):
        responses[run].append(write(asked, run, row))
        return responses[run][-1]

    points = evaluator_of(world, judge=kept, heldout=heldout).points({}, full=False)
    return [(point, naive_counts(heldout, world, run)) for point, run in zip(points, responses, strict=True)]


JUDGED = {
    "judge_false_no": lambda n: n["no_of_right"] / n["right"],
    "judge_false_yes": lambda n: n["yes_of_wrong"] / n["wrong"],
    "judge_balanced": lambda n: 1 - (n["no_of_right"] / n["right"] + n["yes_of_wrong"] / n["wrong"]) / 2,
    "judge_says_right": lambda n: n["says_right"] / ROWS,
    "judge_well_formed": lambda n: n["shaped"] / ROWS,
    "judge_tokens": lambda n: n["tokens"] / ROWS,
    "judge_checked": lambda n: n["checked"] / ROWS,
    "judge_verdict_follows": lambda n: n["follows"] / n["checked"],
}


@pytest.mark.parametrize("name", JUDGED)
def test_a_figure_of_judging_is_its_hand_count(judging, name):
    for point, counted in judging:
        assert point[name] == pytest.approx(JUDGED[name](counted), abs=1e-5)


@pytest.mark.parametrize(
    ("verdict", "false_no", "false_yes"), [(SAYS_RIGHT, 0, 1), (SAYS_WRONG, 1, 0), (NO_VERDICT, 1, 1), (VOID, 1, 1)]
)
def test_a_judge_that_always_answers_alike(world, heldout, verdict, false_no, false_yes):
    (point, _) = evaluator_of(world, judge=lambda *rest: verdict, heldout=heldout).points({}, full=False)
    assert (point["judge_false_no"], point["judge_false_yes"]) == (false_no, false_yes)
    assert point["judge_balanced"] == 1 - (false_no + false_yes) / 2


def test_the_held_out_pairs_alone_are_judged(world, heldout):
    made = evaluator_of(world, judge=lambda *rest: SAYS_RIGHT, heldout=heldout)
    made.points({}, full=True)
    (asked,) = made.judger.asked
    sides = [world.judge_prompt(heldout.problems, side).tolist() for side in (heldout.right, heldout.wrong)]
    assert asked.prompts == [[prompt for pair in zip(*sides, strict=True) for prompt in pair]] * RUNS


def test_no_judge_figure_without_held_out_pairs(world):
    (point, _) = evaluator_of(world).points({}, full=False)
    assert not [name for name in point if name.startswith("judge")]
