"""The demo's chain by hand: prompts, traces, grades, counts, forced rechecks, and a naive twin of the tracer."""

import random

import pytest
import torch

from benchmarks.lab.worlds.base import TOKENS, Traces, grade_verdicts
from benchmarks.lab.worlds.demo import DemoWorld
from benchmarks.lab.worlds.demo_facts import (
    ADD,
    AGREES,
    CLOSE,
    DIFFERS,
    HUM,
    LABELS,
    MULTIPLY,
    OPERATIONS,
    VALUES,
    DemoConfig,
    operand_table,
)
from benchmarks.lab.worlds.demo_traces import Habits
from tests.lab.demos import (
    ANSWER,
    CHECK,
    CPU,
    END,
    WAIT,
    answer,
    by_hand,
    first,
    line,
    naive_trace,
    said,
    second,
    traces,
    two_steps,
)

SLOTS = [
    [LABELS, OPERATIONS + MULTIPLY, VALUES + 11],
    [LABELS + 1, OPERATIONS + ADD, VALUES + 5],
]
FILL = TOKENS.fill
SOLUTION = [*first(), *second()]


def test_prompt_literal():
    expected = [TOKENS.begin, TOKENS.solve, VALUES + 7, *SLOTS[0], *SLOTS[1], *[FILL] * 6, TOKENS.ready]
    world = by_hand()
    assert world.prompt(two_steps())[0].tolist() == expected
    assert len(expected) == world.prompt_length


def test_judge_prompt_literal():
    shown = torch.tensor([[17, 22, 0, 0]])
    slots = [*SLOTS[0], VALUES + 17, *SLOTS[1], VALUES + 22, *[FILL] * 8]
    expected = [TOKENS.begin, TOKENS.judge, VALUES + 7, *slots, TOKENS.ready]
    world = by_hand()
    assert world.judge_prompt(two_steps(), shown)[0].tolist() == expected
    assert len(expected) == world.judge_prompt_length


def habits(right=0.0, wrong=0.0, hums=False, twice=False, rows=1):
    return Habits(*(torch.tensor([value] * rows) for value in (right, wrong, hums, twice)))


WRONG = [*first(18), *second(24, 18)]  # 18 + 5 = 23
# Chance that a fact is written right, habits of the row, and the whole trace.
WRITTEN = {
    "direct": (1.0, habits(), [SOLUTION, CLOSE, SOLUTION, answer()]),
    "direct and wrong": (0.0, habits(), [WRONG, CLOSE, WRONG, answer(24)]),
    "careful does not look again at right values": (1.0, habits(wrong=1.0), [SOLUTION, CLOSE, SOLUTION, answer()]),
    "careful looks again at wrong values, three lines a step at most": (
        0.0, habits(wrong=1.0),
        [first(18), *[WAIT, first(18)] * 2, second(24, 18), *[WAIT, second(24, 18)] * 2, CLOSE, WRONG, answer(24)],
    ),
    "rambling looks again at right values": (
        1.0, habits(right=1.0, hums=True),
        [HUM, first(), *[WAIT, first()] * 2, second(), *[WAIT, second()] * 2, CLOSE, SOLUTION, answer()],
    ),
    "rambling goes over everything twice": (
        1.0, habits(hums=True, twice=True), [HUM, SOLUTION, CHECK, SOLUTION, CLOSE, SOLUTION, answer()],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRITTEN)
def test_trace_literal(case, draw):
    right, habit, parts = WRITTEN[case]
    world, problems = by_hand(right), two_steps()
    written = world.traces_with(problems, draw, habit)
    assert written.tokens.tolist() == traces(*parts).tokens.tolist()
    grades = world.grade(problems, written)
    assert (bool(grades.right), bool(grades.usable)) == (right == 1.0, True)


def test_the_solution_restates_the_last_line_of_each_step(draw):
    """The first values are wrong in half, and each wrong value is stated anew."""
    world, rows = by_hand(0.5), 64
    problems = {name: value.repeat(rows, *[1] * (value.dim() - 1)) for name, value in two_steps().items()}
    written = world.traces_with(problems, draw, habits(wrong=1.0, rows=rows))
    assert bool(world.counts(problems, written)["restates"].all())
    assert len({tuple(row) for row in world.grade(problems, written).candidate.tolist()}) > 2


JUDGED = {  # the candidate, the chance that a check is right, and the response
    "all agrees": ([17, 22], 1.0, [first(), AGREES, second(), AGREES, said(TOKENS.right)]),
    "the second differs": ([17, 23], 1.0, [first(), AGREES, second(), DIFFERS, said(TOKENS.wrong)]),
    "the first differs": ([18, 23], 1.0, [first(), DIFFERS, said(TOKENS.wrong)]),
    "a wrong check of a right step": ([17, 22], 0.0, [first(18), DIFFERS, said(TOKENS.wrong)]),
    "the value shown is the next one before": (
        [18, 24], 0.0, [first(18), AGREES, second(24, 18), AGREES, said(TOKENS.right)],
    ),
}  # fmt: skip


def padded(shown):
    return torch.tensor([[*shown, 0, 0]])


@pytest.mark.parametrize("case", JUDGED)
def test_judging_trace_literal(case, draw):
    shown, right, parts = JUDGED[case]
    world = by_hand(right, judge_guesses=0.0)
    written = world.judge_traces(two_steps(), padded(shown), draw)
    assert written.tokens.tolist() == traces(*parts).tokens.tolist()
    label = torch.tensor([shown[-1] == 22])
    assert float(grade_verdicts(label, written)) == float(right == 1.0)


def test_a_guessed_verdict_has_no_checks(draw):
    tokens = by_hand(judge_guesses=1.0).judge_traces(two_steps(), padded([17, 22]), draw).tokens[0].tolist()
    assert (tokens[0], tokens[2:]) == (TOKENS.verdict, [END])


GRADED = {  # right, well formed, usable
    "right": (traces(SOLUTION, CLOSE, SOLUTION, answer()), (True, True, True)),
    "right without thinking": (traces(CLOSE, SOLUTION, answer()), (True, True, True)),
    "right without a solution": (traces(SOLUTION, CLOSE, answer()), (True, True, False)),
    "right answer, last line another": (traces(CLOSE, first(), second(23), answer()), (True, True, False)),
    "right answer, a line too many": (traces(CLOSE, SOLUTION, second(), answer()), (True, True, False)),
    "right answer, another value before": (traces(CLOSE, first(18), second(), answer()), (True, True, False)),
    "right answer, another operand": (
        traces(CLOSE, line(0, 7, "*", 13, 17), second(), answer()), (True, True, False),
    ),
    "a wrong value": (traces(SOLUTION, CLOSE, first(18), second(23, 18), answer(23)), (False, True, True)),
    "thinking that does not end": (traces(SOLUTION, answer()), (False, False, False)),
    "no end": (traces(CLOSE, SOLUTION, ANSWER, VALUES + 22), (False, False, False)),
    "no answer": (traces(CLOSE, SOLUTION, END), (False, False, False)),
    "no number": (traces(CLOSE, SOLUTION, ANSWER, CLOSE, END), (False, False, False)),
    "the end alone": (traces(END), (False, False, False)),
}  # fmt: skip


@pytest.mark.parametrize("case", GRADED)
def test_verifier(case):
    response, expected = GRADED[case]
    grades = by_hand().grade(two_steps(), response)
    assert (bool(grades.right), bool(grades.well_formed), bool(grades.usable)) == expected


def test_a_candidate_is_the_values_of_the_solution():
    grades = by_hand().grade(two_steps(), GRADED["a wrong value"][0])
    assert grades.candidate.tolist() == [[18, 23, 0, 0]]


def test_the_world_never_replies():
    world = by_hand()
    window = torch.tensor([[*first(), WAIT]])
    assert world.reply(window, torch.zeros(1)).tolist() == [-1]
    assert not bool(world.by_world(window).any())


DUE = {
    "a line": ([first()], True),
    "the next line": ([first(), second()], True),
    "a second look": ([first(), WAIT, first()], False),
    "a line behind a second look": ([first(), WAIT, first(), second()], True),
    "within a line": ([first(), second()[:5]], False),
    "the end of the thinking part": ([first(), CLOSE], False),
    "the solution's first line": ([first(), CLOSE, first()], False),
    "the solution's fourth line": ([CLOSE, *[first()] * 4], False),
}


@pytest.mark.parametrize("case", DUE)
def test_a_forced_recheck_follows_each_line_of_the_thinking_part(case):
    parts, due = DUE[case]
    world = by_hand()
    tokens = traces([0] * world.window, *parts).tokens[:, -world.window :]
    assert world.recheck_due(tokens).tolist() == [due]


def numbers(counted):
    return {name: int(value) for name, value in counted.items() if name != "unreliable_belief"}


def test_counts_of_a_literal_trace():
    response = traces(
        HUM, first(18), WAIT, first(), line(1, 17, "+", 6, 22), CHECK, SOLUTION, CLOSE, SOLUTION, answer()
    )
    assert numbers(by_hand().counts(two_steps(), response)) == {
        "lines": 7,
        "copied": 6,  # one line adds 6
        "unreliable": 1,
        "unreliable_right": 0,  # the second look does not count
        "reliable": 1,
        "reliable_right": 0,  # 17 + 6 is 23
        "rechecks": 1,
        "again": 1,
        "hums": 1,
        "restates": 1,
    }


def test_facts_of_a_response_without_thinking_count_in_its_solution():
    counted = numbers(by_hand().counts(two_steps(), traces(CLOSE, SOLUTION, answer())))
    assert (counted["unreliable"], counted["unreliable_right"], counted["reliable"]) == (1, 1, 1)
    assert counted["restates"] == 0


WRONGLY_COPIED = {
    "label": line(1, 7, "*", 11, 17),
    "operation": line(0, 7, "+", 11, 18),
    "operand": line(0, 7, "*", 13, 1),
}


@pytest.mark.parametrize("part", WRONGLY_COPIED)
def test_each_part_of_a_line_must_be_copied(part):
    counted = numbers(by_hand().counts(two_steps(), traces(WRONGLY_COPIED[part], CLOSE, answer())))
    assert (counted["lines"], counted["copied"]) == (1, 0)


FOLLOWED = {
    "right after all": ([first(), AGREES, second(), AGREES, said(TOKENS.right)], 2, 1),
    "right after a difference": ([first(18), DIFFERS, said(TOKENS.right)], 1, 0),
    "wrong after a difference": ([first(18), DIFFERS, said(TOKENS.wrong)], 1, 1),
    "no checks": ([said(TOKENS.wrong)], 0, 0),
}


@pytest.mark.parametrize("case", FOLLOWED)
def test_counts_of_judging(case):
    parts, lines, follows = FOLLOWED[case]
    counted = numbers(by_hand().judge_counts(two_steps(), padded([17, 22]), traces(*parts)))
    assert (counted["lines"], counted["checked"], counted["verdict_follows"]) == (lines, min(lines, 1), follows)


def test_products_have_units_only():
    """A product with another factor would hide an error of the step before."""
    plus, minus, times = (row[row > 0].tolist() for row in operand_table(30))
    assert plus == minus == list(range(1, 30))
    assert times == [7, 11, 13, 17, 19, 23, 29]


@pytest.mark.parametrize("style", [0, 1, 2])
def test_tracer_agrees_with_its_naive_twin(style):
    rows = 1500
    world = DemoWorld(DemoConfig(), CPU)
    draw, source = torch.Generator().manual_seed(5), random.Random(5)
    problems = world.problems(rows, draw)
    every, c = torch.ones(rows), world.config
    right, wrong = ((0.0, 0.0), (c.wait_if_right, c.wait_if_wrong), (c.wait_rambling,) * 2)[style]
    twice = (torch.rand(rows, generator=draw) < c.second_pass) & (style == 2)
    ours = world.traces_with(problems, draw, Habits(every * right, every * wrong, every == (style == 2), twice))
    single = [{name: value[row].tolist() for name, value in problems.items()} for row in range(rows)]
    naive = [naive_trace(world, problem, style, source) for problem in single]
    lengths = torch.tensor([len(tokens) for tokens in naive])
    filled = torch.tensor([tokens + [TOKENS.pad] * (int(lengths.max()) - len(tokens)) for tokens in naive])
    theirs = Traces(filled, lengths)
    right = [world.grade(problems, both).right.float().mean().item() for both in (ours, theirs)]
    counted = [world.counts(problems, both) for both in (ours, theirs)]
    assert right[0] == pytest.approx(right[1], abs=0.05)
    assert ours.lengths.float().mean().item() == pytest.approx(lengths.float().mean().item(), rel=0.03)
    for name in ("lines", "unreliable_right", "reliable", "rechecks", "again", "hums", "restates"):
        mean = [table[name].float().mean().item() for table in counted]
        assert mean[0] == pytest.approx(mean[1], rel=0.06, abs=0.02), name
