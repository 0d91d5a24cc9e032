"""Traces: what the base model is taught to write, checked with the graders that RL uses."""

import random

import pytest

from data.prompts import render
from judgerlvr.tinyworld.making.trace_checks import Shown, consistent, judging_copies, restates, solving_copies
from judgerlvr.tinyworld.prompts import JUDGE
from judgerlvr.tinyworld.task import World, WorldConfig
from judgerlvr.tinyworld.trace_parsing import Line, read_line, read_response
from judgerlvr.tinyworld.traces import Style, TraceConfig, Tracer
from rewards.extraction.extract import final_answer
from rewards.math import verify
from rewards.types import Problem
from rewards.verdict import grade_verdict

SURE = World(WorldConfig(unreliable=0.0, reliable_right=1.0))


def solved(world, count=200, style=None, seed=0):
    tracer, draw = Tracer(world), random.Random(seed)
    for _ in range(count):
        chain = world.sample(draw)
        yield chain, tracer.solve(draw, chain, style)


@pytest.mark.parametrize("style", list(Style))
def test_without_noise_every_solution_earns_the_reward(style):
    for chain, text in solved(SURE, 40, style):
        answer = final_answer(text).answer
        assert verify(Problem("p", chain.text, str(chain.answer)), answer).score == 1.0


def test_own_reading_of_the_box_agrees_with_the_graders():
    for _, text in solved(World()):
        assert read_response(text).box == final_answer(text).answer


def test_solution_restates_the_last_pass():
    assert all(restates(read_response(text)) for _, text in solved(World()))


def test_every_line_copies_its_operands():
    for chain, text in solved(World()):
        assert all(solving_copies(chain, read_response(text).thinking))


def test_styles_differ_in_length_as_named():
    mean = {s: sum(len(text) for _, text in solved(World(), 300, s)) / 300 for s in Style}
    assert mean[Style.DIRECT] < mean[Style.CAREFUL] < mean[Style.RAMBLING]


def test_direct_thinking_has_one_line_a_step_and_no_words():
    for chain, text in solved(World(), 50, Style.DIRECT):
        response = read_response(text)
        assert len(response.thinking) == len(chain.steps) and not response.words


def judged(world, config=None, count=300):
    tracer, solver, draw = Tracer(world, config), Tracer(World()), random.Random(1)
    for _ in range(count):
        chain = world.sample(draw)
        shown = read_response(solver.solve(draw, chain))
        yield Shown(chain, shown, shown.box == str(chain.answer)), tracer.judge(draw, chain, shown.solution)


def test_without_noise_or_guessing_verdicts_earn_the_reward():
    """All but the rare solutions whose errors cancel: their answer is right, their steps are not."""
    scores = [grade_verdict(text, shown.correct).score for shown, text in judged(SURE, TraceConfig(guess=0.0))]
    assert sum(scores) / len(scores) > 0.96


def test_verdicts_follow_the_judges_own_checks():
    checked = [(shown, read_response(text)) for shown, text in judged(World()) if "ok" in text or "bad" in text]
    assert all(consistent(shown, response) for shown, response in checked)
    assert all(all(judging_copies(shown, response)) for shown, response in checked)


def test_judge_stops_at_the_first_bad_step():
    for _, text in judged(World(), TraceConfig(guess=0.0)):
        marks = [line.mark for line in read_response(text).thinking]
        assert "bad" not in marks[:-1]


def test_share_of_guessed_verdicts():
    texts = [text for _, text in judged(World(), count=1000)]
    assert sum("=" not in text for text in texts) / 1000 == pytest.approx(0.30, abs=0.05)


def test_facts_are_equally_reliable_in_both_modes():
    """First statement of the first fact, on the same problems: no mode knows more than the other."""
    world = World()
    tracer, draw = Tracer(world, TraceConfig(guess=0.0)), random.Random(2)
    right = {"generate": 0, "judge": 0}
    count = 4000
    for _ in range(count):
        chain = world.sample(draw)
        response = tracer.solve(draw, chain)
        shown = read_response(response)
        first = {"generate": shown, "judge": read_response(tracer.judge(draw, chain, shown.solution))}
        for mode, read in first.items():
            right[mode] += read.thinking[0].result == chain.values[1]
    # Standard deviation of the difference of two shares near 0.7: about 1 point.
    assert right["generate"] / count == pytest.approx(right["judge"] / count, abs=0.04)


def test_judge_does_not_see_the_thinking():
    for chain, text in solved(World(), 100, Style.RAMBLING):
        shown = read_response(text).solution_text
        prompt = render(JUDGE, {"problem": chain.text, "response": shown})
        assert all(word not in prompt for word in ("hmm", "wait", "check", "think"))
        assert text.endswith(shown)


def test_line_reads_its_own_text():
    line = Line("b", 7, "*", 11, 17, "ok")
    assert read_line(str(line)) == line and str(line) == "b=7*11=17 ok"


@pytest.mark.parametrize("text", ["", "b=7*11=", "b=7*11=17 maybe", "wait", "b = 7*11=17"])
def test_other_lines_are_no_steps(text):
    assert read_line(text) is None


def test_unfinished_thinking_has_no_solution():
    response = read_response("<think>\nb=7*11=17\nwait")
    assert (response.solution, response.box, response.words) == ([], None, ["wait"])
