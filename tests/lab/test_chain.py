"""The chain world: literal traces, verifier, a naive twin of the tracer, the premium of rechecking by Monte Carlo."""

import random

import pytest
import torch

from benchmarks.lab.worlds.base import TOKENS, Traces, grade_verdicts
from benchmarks.lab.worlds.chain import LABELS, OPERATIONS, VALUES, ChainConfig, ChainWorld, value_chances

CPU = torch.device("cpu")
R, OK, NO, END, ANSWER = TOKENS.recheck, TOKENS.accepted, TOKENS.refused, TOKENS.end, TOKENS.answer


def two_steps():
    """Start 4, add 5, subtract 2: values 9 and 7."""
    tensor = torch.tensor
    return dict(
        steps=tensor([2]),
        start=tensor([4]),
        operation=tensor([[0, 1] + [0] * 7]),
        operand=tensor([[5, 2] + [0] * 7]),
        gold=tensor([[9, 7] + [7] * 7]),
        answer=tensor([7]),
    )


def line(step, before, operation, operand, value):
    return [LABELS + step, VALUES + before, OPERATIONS + operation, VALUES + operand, VALUES + value]


def traces(*parts):
    tokens = [token for part in parts for token in (part if isinstance(part, list) else [part])]
    return Traces(torch.tensor([tokens]), torch.tensor([len(tokens)]))


FIRST, SECOND, SEVEN = line(0, 4, 0, 5, 9), line(1, 9, 1, 2, 7), [ANSWER, VALUES + 7, END]
WRONG = line(0, 4, 0, 5, 8)


def test_prompt_literal(world):
    slots = [LABELS, OPERATIONS, VALUES + 5, LABELS + 1, OPERATIONS + 1, VALUES + 2] + [TOKENS.fill] * 21
    expected = [TOKENS.begin, TOKENS.solve, VALUES + 4, *slots, TOKENS.ready]
    assert world.prompt(two_steps())[0].tolist() == expected
    assert len(expected) == world.prompt_length


def test_judge_prompt_literal(world):
    shown = torch.tensor([[9, 6] + [0] * 7])
    slots = [LABELS, OPERATIONS, VALUES + 5, VALUES + 9, LABELS + 1, OPERATIONS + 1, VALUES + 2, VALUES + 6]
    expected = [TOKENS.begin, TOKENS.judge, VALUES + 4, *slots, *[TOKENS.fill] * 28, TOKENS.ready]
    assert world.judge_prompt(two_steps(), shown)[0].tolist() == expected
    assert len(expected) == world.judge_prompt_length


GRADED = {
    "plain": (traces(FIRST, SECOND, SEVEN), True, True),
    "wrong answer": (traces(FIRST, SECOND, ANSWER, VALUES + 6, END), False, True),
    "accepted rechecks": (traces(FIRST, R, OK, SECOND, R, OK, SEVEN), True, True),
    "another value after a refusal": (traces(WRONG, R, NO, FIRST, SECOND, SEVEN), True, True),
    "no second look at a restated step": (traces(WRONG, R, NO, FIRST, R, OK, SECOND, SEVEN), False, False),
    "the same value after a refusal": (traces(FIRST, R, NO, FIRST, SECOND, SEVEN), False, False),
    "another step after a refusal": (traces(FIRST, R, NO, SECOND, SEVEN), False, False),
    "a recheck without a line": (traces(R, OK, FIRST, SECOND, SEVEN), False, False),
    "a second pass": (traces(WRONG, SECOND, TOKENS.again, FIRST, SECOND, SEVEN), True, True),
    "no end": (traces(FIRST, SECOND, ANSWER, VALUES + 7), False, False),
    "no answer": (traces(FIRST, SECOND, END), False, False),
}


@pytest.mark.parametrize("case", GRADED)
def test_verifier(world, case):
    response, right, well_formed = GRADED[case]
    grades = world.grade(two_steps(), response)
    assert (bool(grades.right), bool(grades.well_formed)) == (right, well_formed)


def test_the_twin_lets_a_refused_value_stand(twin):
    assert bool(twin.grade(two_steps(), GRADED["the same value after a refusal"][0]).right)


def test_a_candidate_is_the_last_value_of_each_step(world):
    grades = world.grade(two_steps(), GRADED["another value after a refusal"][0])
    assert grades.candidate[0].tolist() == [9, 7] + [0] * 7
    assert bool(grades.usable)


def test_a_candidate_that_skips_a_step_is_not_usable(world):
    assert not bool(world.grade(two_steps(), traces(SECOND, SEVEN)).usable)


@pytest.mark.parametrize("noise, right, wrong", [(0.5, OK, NO), (0.95, NO, OK)])
def test_reply_of_the_world(world, noise, right, wrong):
    windows = torch.tensor([[*FIRST, R], [*WRONG, R], [*FIRST, ANSWER]])
    assert world.reply(windows, torch.full((3,), noise)).tolist() == [right, wrong, -1]


def test_replies_carry_no_loss(world):
    response = traces(FIRST, R, OK, SECOND, R, NO, SEVEN).tokens
    assert world.by_world(response)[0].nonzero()[:, 0].tolist() == [6, 13]


def test_a_forced_recheck_follows_first_lines_only(world):
    windows = torch.tensor([[OK, *FIRST], [NO, *FIRST], [*FIRST, R]])
    assert world.recheck_due(windows).tolist() == [True, False, False]


def test_counts_of_a_literal_trace(world):
    counted = world.counts(two_steps(), traces(WRONG, R, NO, FIRST, SECOND, R, NO, SEVEN))
    named = {name: int(value) for name, value in counted.items()}
    assert named["lines"] == 3
    assert named["copied"] == 3
    assert named["unreliable"] + named["reliable"] == 2
    assert named["unreliable_right"] + named["reliable_right"] == 1
    assert (named["rechecks"], named["recheck_agrees"], named["refused"], named["again"]) == (2, 1, 2, 0)


UNLABELLED = [END, *FIRST[1:]]
ANSWERS = {
    "both answered, one wrongly": ((WRONG, R, NO, FIRST, SECOND, R, NO, SEVEN), (2, 1), (2, 1)),
    "cut before the answer": ((FIRST, R, OK, SECOND, R), (2, 1), (1, 1)),
    "a true fact without a label": ((UNLABELLED, R, OK, SECOND, SEVEN), (1, 0), (1, 1)),
    "a loop after a refusal": ((WRONG, R, NO, R, NO, R, OK, R), (4, 2), (3, 2)),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_answers_are_counted_as_the_world_gives_them(world, case):
    """The older count takes a recheck without an answer, and the acceptance of an unlabelled fact, as disagreements."""
    parts, older, newer = ANSWERS[case]
    named = {name: int(value) for name, value in world.counts(two_steps(), traces(*parts)).items()}
    assert (named["rechecks"], named["recheck_agrees"]) == older
    assert (named["answered"], named["answers_right"]) == newer


VERDICTS = {
    "right": (traces(FIRST, SECOND, TOKENS.verdict, TOKENS.right, END), [1, 0]),
    "wrong": (traces(FIRST, TOKENS.verdict, TOKENS.wrong, END), [0, 1]),
    "no verdict": (traces(FIRST, SECOND, SEVEN), [0, 0]),
    "a recheck voids it": (traces(FIRST, R, TOKENS.verdict, TOKENS.right, END), [0, 0]),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_reward_of_judging(case):
    response, rewards = VERDICTS[case]
    labels = (torch.tensor([True]), torch.tensor([False]))
    assert [int(grade_verdicts(label, response)) for label in labels] == rewards


def test_operations_can_be_undone():
    world = ChainWorld(ChainConfig(operations=6), CPU)
    values = world.truth.permute(0, 2, 1).sort(-1).values
    assert bool((values == torch.arange(30)).all())


def test_beliefs_are_as_configured(world):
    unreliable = world.right_chance[world.unreliable]
    assert world.unreliable.float().mean().item() == pytest.approx(0.60, abs=0.03)
    assert 0.30 <= unreliable.min().item() < 0.32
    assert 0.58 < unreliable.max().item() <= 0.60
    assert bool((world.misconception != world.truth).all())
    assert torch.allclose(world.chances.sum(-1), torch.ones(()), atol=1e-5)


def naive_trace(world, problem, rechecks, random_source):
    """One solving trace, token by token, with Python's own random numbers."""
    tokens, before = [], problem["start"]
    for step in range(problem["steps"]):
        fact = (problem["operation"][step], before, problem["operand"][step])
        value = naive_value(world, fact, None, random_source)
        tokens += line(step, before, fact[0], fact[2], value)
        if rechecks:
            right = value == int(world.truth[fact])
            accepted = right == (random_source.random() < world.config.check_right)
            tokens += [R, OK if accepted else NO]
            if not accepted:
                value = naive_value(world, fact, value if world.config.replaces else None, random_source)
                tokens += line(step, before, fact[0], fact[2], value)
        before = value
    return [*tokens, ANSWER, VALUES + before, END]


def naive_value(world, fact, refused, random_source):
    while True:
        right = float(world.right_chance[fact])
        draw, value = random_source.random(), int(world.truth[fact])
        if draw >= right:
            value = int(world.misconception[fact])
            if draw >= right + (1 - right) * world.config.misconception:
                value = random_source.choice([v for v in range(30) if v not in (value, int(world.truth[fact]))])
        if value != refused:
            return value


@pytest.mark.parametrize("replaces", [True, False])
@pytest.mark.parametrize("rechecks", [True, False])
def test_tracer_agrees_with_its_naive_twin(replaces, rechecks):
    rows = 1500
    world = ChainWorld(ChainConfig(replaces=replaces), CPU)
    draw, source = torch.Generator().manual_seed(5), random.Random(5)
    problems = world.problems(rows, draw)
    flags = torch.full((rows,), rechecks)
    ours = world.traces_in_style(problems, draw, flags, torch.zeros_like(flags))
    single = [{name: value[row].tolist() for name, value in problems.items()} for row in range(rows)]
    naive = [naive_trace(world, problem, rechecks, source) for problem in single]
    right = [float(t[-2] - VALUES == p["answer"]) for t, p in zip(naive, single, strict=True)]
    accuracy = world.grade(problems, ours).right.float().mean().item()
    assert accuracy == pytest.approx(sum(right) / rows, abs=0.05)
    assert ours.lengths.float().mean().item() == pytest.approx(sum(map(len, naive)) / rows, rel=0.02)


def test_all_traces_of_the_base_are_well_formed(world, draw):
    problems = world.problems(2000, draw)
    grades = world.grade(problems, world.solve_traces(problems, draw))
    assert bool(grades.well_formed.all())
    assert bool(grades.usable.all())


def improved(replaces, share):
    """The world after training: each fact's chance of being wrong is smaller by ``share``. All chains have 8 steps."""
    world = ChainWorld(ChainConfig(replaces=replaces, least_steps=8, most_steps=8), CPU)
    world.right_chance = world.right_chance + share * (1 - world.right_chance)
    world.chances = value_chances(world.truth, world.right_chance, world.misconception, world.config)
    return world


def premium(world, rows=6000):
    """(accuracy without rechecks, gain of rechecking every step)."""
    draw = torch.Generator().manual_seed(1)
    problems = world.problems(rows, draw)
    never = torch.zeros(rows, dtype=torch.bool)
    plain = world.grade(problems, world.traces_in_style(problems, draw, never, never)).right.float().mean().item()
    every = world.grade(problems, world.traces_in_style(problems, draw, ~never, never)).right.float().mean().item()
    return plain, every - plain


@pytest.mark.parametrize(
    "share, accuracy, gain, twin_gain",
    [
        (0.3, 0.12, 0.39, 0.29),
        (0.5, 0.23, 0.29, 0.38),
        (0.7, 0.42, 0.11, 0.39),
        (0.8, 0.57, -0.04, 0.33),
        (0.9, 0.76, -0.23, 0.20),
    ],
)
def test_rechecking_stops_paying_as_predicted(share, accuracy, gain, twin_gain):
    """The tracer behind the prediction is unknown. Our premiums stay within .09 of the predicted premiums."""
    plain, ours = premium(improved(True, share))
    _, twins = premium(improved(False, share))
    assert plain == pytest.approx(accuracy, abs=0.03)
    assert ours == pytest.approx(gain, abs=0.09)
    assert twins == pytest.approx(twin_gain, abs=0.09)


def test_judging_traces_follow_their_own_checks(world, draw):
    problems = world.problems(2000, draw)
    candidate = world.candidates(problems, draw)
    counted = world.judge_counts(problems, candidate, world.judge_traces(problems, candidate, draw))
    assert int(counted["verdict_follows"].sum()) == int(counted["checked"].sum())
    assert int(counted["checked"].sum()) == pytest.approx(0.7 * 2000, abs=80)


def test_facts_are_as_reliable_in_judging_as_in_solving(world, draw):
    problems = world.problems(8000, draw)
    solving = world.counts(problems, world.traces_in_style(problems, draw, *[torch.zeros(8000, dtype=torch.bool)] * 2))
    candidate = world.candidates(problems, draw)
    judging = world.judge_counts(problems, candidate, world.judge_traces(problems, candidate, draw))
    share = [float(c["unreliable_right"].sum() / c["unreliable"].sum()) for c in (solving, judging)]
    assert share[0] == pytest.approx(share[1], abs=0.02)
