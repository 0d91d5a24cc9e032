"""The gate worlds by hand: prompts, traces, grades, counts, forced rechecks, and a naive twin of the tracer."""

import random

import pytest
import torch

from benchmarks.lab.worlds.base import TOKENS, Traces
from benchmarks.lab.worlds.gate import GateWorld, first_of
from benchmarks.lab.worlds.gate_facts import KEYS, LABELS, MOST_GATES, NO, RULE, YES, GateConfig
from benchmarks.lab.worlds.gate_traces import Habits
from tests.lab.gates import ANSWER, CPU, END, R, answer, by_hand, naive_trace, one, traces, two, two_gates, use

GATE_ONE = [LABELS, RULE, KEYS + 5, KEYS + 1, KEYS + 4, KEYS + 3]
GATE_TWO = [LABELS + 1, RULE + 2, KEYS + 6, KEYS + 8, KEYS + 7, KEYS + 9]
FORBIDDEN_TWO = [LABELS + 1 + MOST_GATES, RULE + 2, KEYS + 6, KEYS + 2, KEYS + 8, KEYS + 7]


@pytest.mark.parametrize("polarity, second", [(False, GATE_TWO), (True, FORBIDDEN_TWO)])
def test_prompt_literal(polarity, second):
    world = by_hand(polarity=polarity)
    expected = [TOKENS.begin, TOKENS.solve, *GATE_ONE, *second, TOKENS.ready]
    assert world.prompt(two_gates(polarity))[0].tolist() == expected
    assert len(expected) == world.prompt_length


def test_judge_prompt_literal():
    world = by_hand()
    shown = torch.tensor([[4, 9]])
    expected = [TOKENS.begin, TOKENS.judge, *GATE_ONE, KEYS + 4, *GATE_TWO, KEYS + 9, TOKENS.ready]
    assert world.judge_prompt(two_gates(), shown)[0].tolist() == expected
    assert len(expected) == world.judge_prompt_length


def habits(suspicious, otherwise=0.0, second_pass=0.0, in_a_row=1):
    return Habits(*(torch.tensor([chance]) for chance in (suspicious, otherwise, second_pass)), in_a_row)


NEVER, ONCE, ALWAYS, TWICE_OVER = habits(0.0), habits(1.0), habits(1.0, 1.0, 0.0, 9), habits(0.0, 0.0, 1.0)
FOUR, EIGHT = [*one(1, NO), *one(4, YES)], two(8, YES)
LISTED = [*FOUR, *one(3, NO)]
SEVEN_FORBIDDEN = [*two(2, YES, True), *two(8, YES, True), *two(7, NO, True)]
BOTH = [*FOUR, *use(4), *EIGHT, *use(8)]
BOTH_LISTED = [*LISTED, *use(4), *EIGHT, *two(7, NO), *two(9, NO), *use(8), *answer(4, 8)]
# Settings of the world, habits of the row, the chance that a check is right, and the whole trace.
WRITTEN = {
    "A stops at the first key taken": ({}, NEVER, 1.0, [BOTH, answer(4, 8)]),
    "A whose checks are all wrong": (
        {}, NEVER, 0.0, [one(1, YES), use(1), two(8, NO), two(7, YES), use(7), answer(1, 7)],
    ),
    "A rechecks a key taken": (
        {}, ONCE, 1.0, [FOUR, R, one(4, YES), use(4), EIGHT, R, EIGHT, use(8), answer(4, 8)],
    ),
    "A rechecks a gate three times at most": (
        {}, ALWAYS, 1.0,
        [one(1, NO), *[R, one(1, NO)] * 3, one(4, YES), use(4), EIGHT, *[R, EIGHT] * 3, use(8), answer(4, 8)],
    ),
    "A goes over its picks again": (
        {}, TWICE_OVER, 1.0, [BOTH, TOKENS.again, one(4, YES), use(4), EIGHT, use(8), answer(4, 8)],
    ),
    "A with polarity takes the forbidden key": (
        {"polarity": True}, NEVER, 1.0, [FOUR, use(4), SEVEN_FORBIDDEN, use(7), answer(4, 7)],
    ),
    "S checks all keys": ({"lists_all": True}, NEVER, 1.0, [BOTH_LISTED]),
    "S does not recheck where one key is taken": ({"lists_all": True}, ONCE, 1.0, [BOTH_LISTED]),
    "S with polarity": (
        {"lists_all": True, "polarity": True}, NEVER, 1.0,
        [LISTED, use(4), SEVEN_FORBIDDEN, use(7), answer(4, 7)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRITTEN)
def test_trace_literal(case, draw):
    settings, habit, right, parts = WRITTEN[case]
    world, problems = by_hand(right, **settings), two_gates(settings.get("polarity", False))
    written = world.traces_with(problems, draw, habit)
    assert written.tokens.tolist() == traces(*parts).tokens.tolist()
    assert bool(world.grade(problems, written).right) is (right == 1.0)


def test_s_checks_a_gate_again_where_two_keys_are_taken(draw):
    world = by_hand(0.0, lists_all=True, most_rechecks=2)
    listing = [*one(1, YES), *one(4, NO), *one(3, YES)]
    tokens = world.traces_with(two_gates(), draw, habits(1.0, 0.0, 0.0, 9)).tokens[0].tolist()
    assert tokens[:49] == [*listing, R, *listing, R, *listing, *use(tokens[48] - KEYS)]
    assert tokens[48] - KEYS in (1, 3)


JUDGED = {
    "all taken": ([4, 8], [one(4, YES), two(8, YES), TOKENS.verdict, TOKENS.right, END]),
    "the second is not": ([4, 9], [one(4, YES), two(9, NO), TOKENS.verdict, TOKENS.wrong, END]),
    "the first is not": ([3, 8], [one(3, NO), TOKENS.verdict, TOKENS.wrong, END]),
}


@pytest.mark.parametrize("case", JUDGED)
def test_judging_trace_literal(case, draw):
    shown, parts = JUDGED[case]
    written = by_hand(judge_guesses=0.0).judge_traces(two_gates(), torch.tensor([shown]), draw)
    assert written.tokens.tolist() == traces(*parts).tokens.tolist()


def test_a_guessed_verdict_has_no_checks(draw):
    tokens = by_hand(judge_guesses=1.0).judge_traces(two_gates(), torch.tensor([[4, 8]]), draw).tokens[0].tolist()
    assert (tokens[0], tokens[2:]) == (TOKENS.verdict, [END])


GRADED = {  # right, well formed, usable
    "right": (traces(one(4, YES), use(4), answer(4, 8)), (True, True, True)),
    "right without checks": (traces(answer(4, 8)), (True, True, True)),
    "a wrong key": (traces(one(3, YES), use(3), answer(3, 8)), (False, True, True)),
    "a key that is not there": (traces(answer(4, 6)), (False, True, False)),
    "no end": (traces(ANSWER, KEYS + 4, KEYS + 8), (False, False, False)),
    "a key too few": (traces(answer(8)), (False, False, False)),
    "a key too many": (traces(answer(4, 4, 8)), (False, False, False)),
    "no key": (traces(ANSWER, KEYS + 4, YES, END), (False, False, False)),
    "the end alone": (traces(END), (False, False, False)),
}


@pytest.mark.parametrize("case", GRADED)
def test_verifier(case):
    response, expected = GRADED[case]
    grades = by_hand().grade(two_gates(), response)
    assert (bool(grades.right), bool(grades.well_formed), bool(grades.usable)) == expected


def test_a_candidate_is_the_answer():
    assert by_hand().grade(two_gates(), GRADED["a wrong key"][0]).candidate.tolist() == [[3, 8]]


def test_the_world_never_replies():
    world = by_hand()
    window = torch.tensor([[*one(4, YES), R]])
    assert world.reply(window, torch.zeros(1)).tolist() == [-1]
    assert not bool(world.by_world(window).any())


DUE_A = [
    ([0, *one(4, YES)], True),
    ([0, *one(4, NO)], False),
    ([R, *one(4, YES)], False),
    ([0, *two(7, NO, True)], True),
    ([0, *two(8, YES, True)], False),
    ([*one(4, YES), R], False),
    ([YES, LABELS, RULE, KEYS + 5, KEYS + 4, YES], False),
]
DUE_S = [
    ([0, *one(1, YES), *one(4, YES), *one(3, NO)], True),
    ([0, *one(1, NO), *one(4, NO), *one(3, NO)], True),
    ([0, *LISTED], False),
    ([R, *one(1, NO), *one(4, NO), *one(3, NO)], False),
    ([NO, *two(2, YES, True), *two(8, YES, True), *two(7, YES, True)], True),
    ([NO, *two(2, YES, True), *two(8, YES, True), *two(7, NO, True)], False),
    ([0, *one(4, NO), *one(3, NO), *two(7, NO)], False),
    ([*one(4, NO), *one(3, NO), R, *one(1, NO)], False),
]


@pytest.mark.parametrize("lists_all, cases", [(False, DUE_A), (True, DUE_S)])
def test_a_forced_recheck_follows_what_is_suspicious(lists_all, cases):
    world = by_hand(lists_all=lists_all, polarity=True)
    windows = torch.tensor([window for window, _ in cases])
    assert windows.shape[1] == world.window
    assert world.recheck_due(windows).tolist() == [due for _, due in cases]


def numbers(counted):
    return {name: int(value) for name, value in counted.items() if name != "unreliable_belief"}


def test_counts_of_a_literal_trace():
    response = traces(one(1, YES), R, one(1, NO), one(4, NO), use(4), two(2, YES, True), two(9, NO, True), answer(4, 7))
    assert numbers(by_hand(polarity=True).counts(two_gates(True), response)) == {
        "lines": 5,
        "copied": 4,  # key 9 is none of the second gate
        "unreliable": 2,
        "unreliable_right": 0,  # the second look at key 1 does not count
        "reliable": 2,
        "reliable_right": 2,
        "of_forbidden": 3,
        "unreliable_forbidden": 1,
        "false_yes": 1,
        "unreliable_allowed": 1,
        "false_no": 1,
        "rechecks": 1,
        "again": 0,
    }


WRONGLY_COPIED = {
    "label": [LABELS + 1, KEYS + 5, RULE, KEYS + 4, YES],
    "polarity": [LABELS + MOST_GATES, KEYS + 5, RULE, KEYS + 4, YES],
    "key of the gate": [LABELS, KEYS + 6, RULE, KEYS + 4, YES],
    "rule": [LABELS, KEYS + 5, RULE + 1, KEYS + 4, YES],
    "key checked": [LABELS, KEYS + 5, RULE, KEYS + 8, YES],
}


@pytest.mark.parametrize("part", WRONGLY_COPIED)
def test_each_part_of_a_line_must_be_copied(part):
    counted = numbers(by_hand().counts(two_gates(), traces(WRONGLY_COPIED[part], answer(4, 8))))
    assert (counted["lines"], counted["copied"]) == (1, 0)


FOLLOWED = {
    "right after all": (traces(one(4, YES), two(8, YES), TOKENS.verdict, TOKENS.right, END), 2, 1),
    "right after a refusal": (traces(one(4, YES), two(8, NO), TOKENS.verdict, TOKENS.right, END), 2, 0),
    "wrong after a refusal": (traces(one(4, NO), TOKENS.verdict, TOKENS.wrong, END), 1, 1),
    "another choice is not what is shown": (traces(one(1, NO), TOKENS.verdict, TOKENS.wrong, END), 0, 1),
}


@pytest.mark.parametrize("case", FOLLOWED)
def test_counts_of_judging(case):
    response, copied, follows = FOLLOWED[case]
    counted = numbers(by_hand().judge_counts(two_gates(), torch.tensor([[4, 8]]), response))
    assert (counted["copied"], counted["checked"], counted["verdict_follows"]) == (copied, 1, follows)


def test_a_verdict_without_checks_follows_nothing():
    response = traces(TOKENS.verdict, TOKENS.wrong, END)
    counted = numbers(by_hand().judge_counts(two_gates(), torch.tensor([[4, 8]]), response))
    assert (counted["checked"], counted["verdict_follows"]) == (0, 0)


def test_the_first_place_of_each_name():
    here = torch.tensor([[True, False, True, True, True]])
    names = torch.tensor([[1, 0, 1, 0, 2]])
    assert first_of(here, names, 4).tolist() == [[True, False, False, True, True]]


@pytest.mark.parametrize("style", [0, 1, 2])
@pytest.mark.parametrize("lists_all", [False, True])
def test_tracer_agrees_with_its_naive_twin(lists_all, style):
    rows = 1500
    world = GateWorld(GateConfig(lists_all=lists_all, polarity=True, suspicious=0.6, otherwise=0.3), CPU)
    world.facts.right_chance = 0.5 + world.facts.right_chance / 2
    draw, source = torch.Generator().manual_seed(5), random.Random(5)
    problems = world.problems(rows, draw)
    every = torch.ones(rows)
    chances = (0.6 * (style > 0), 0.3 * (style == 2), world.config.second_pass * (style == 2))
    ours = world.traces_with(problems, draw, Habits(*(every * chance for chance in chances), 3))
    single = [{name: value[row].tolist() for name, value in problems.items()} for row in range(rows)]
    naive = [naive_trace(world, problem, style, source) for problem in single]
    lengths = torch.tensor([len(tokens) for tokens in naive])
    padded = torch.tensor([tokens + [TOKENS.pad] * (int(lengths.max()) - len(tokens)) for tokens in naive])
    theirs = Traces(padded, lengths)
    right = [world.grade(problems, both).right.float().mean().item() for both in (ours, theirs)]
    counted = [world.counts(problems, both) for both in (ours, theirs)]
    assert right[0] == pytest.approx(right[1], abs=0.05)
    assert ours.lengths.float().mean().item() == pytest.approx(lengths.float().mean().item(), rel=0.03)
    for name in ("lines", "unreliable_right", "of_forbidden", "rechecks", "again"):
        mean = [table[name].float().mean().item() for table in counted]
        assert mean[0] == pytest.approx(mean[1], rel=0.06, abs=0.02), name
