"""Checks that a base model must pass before RL: finished circuits, room to learn, natural length (samples at T 1)."""

from __future__ import annotations

import random

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from data.prompts import render
from judgerlvr.tinyworld.making.intervals import Gate, balanced, mean, rate
from judgerlvr.tinyworld.making.sampling import TinySample, sample
from judgerlvr.tinyworld.making.trace_checks import (
    Shown,
    consistent,
    judge_set,
    judging_copies,
    restates,
    solving_copies,
    stated,
)
from judgerlvr.tinyworld.prompts import GENERATE, JUDGE
from judgerlvr.tinyworld.task import Chain, World
from judgerlvr.tinyworld.trace_parsing import read_response
from judgerlvr.tinyworld.traces import Style, Tracer


def generation_gates(chains: list[Chain], samples: list[TinySample], world: World, direct: list[int]) -> list[Gate]:
    """Figures of generation. ``direct`` is the length of a direct response to each problem, in tokens."""
    responses = [read_response(one.text) for one in samples]
    pairs = list(zip(chains, responses, strict=True))
    lengths = [float(one.length) for one in samples]
    return [
        rate("operand copy, generation", [ok for c, r in pairs for ok in solving_copies(c, r.thinking)], 0.95),
        rate("solution restates thinking", [restates(r) for r in responses], 0.95),
        rate("generation accuracy", [r.box == str(c.answer) for c, r in pairs], 0.25, 0.50),
        rate("truncated", [not one.ended for one in samples], at_most=0.02),
        mean("response tokens", lengths),
        mean("response tokens / direct", [a / b for a, b in zip(lengths, direct, strict=True)], 1.3),
        rate("unreliable facts right, generation", stated(world, responses)),
    ]


def judge_gates(shown: list[Shown], samples: list[TinySample], world: World) -> list[Gate]:
    """Figures of judging. Every figure about checks counts only the traces that check at all."""
    judged = [read_response(one.text) for one in samples]
    pairs = list(zip(shown, judged, strict=True))
    checked = [(s, j) for s, j in pairs if j.thinking]
    right = rate("judge accuracy, right solutions", [j.box == "Yes" for s, j in pairs if s.correct])
    wrong = rate("judge accuracy, wrong solutions", [j.box == "No" for s, j in pairs if not s.correct])
    return [
        rate("operand copy, judging", [ok for s, j in checked for ok in judging_copies(s, j)], 0.95),
        rate("verdict follows own checks", [consistent(s, j) for s, j in checked], 0.95),
        balanced("judge balanced accuracy", right, wrong, 0.50, 0.70),
        right,
        wrong,
        rate("judge gives a verdict", [j.box in ("Yes", "No") for j in judged], 0.98),
        rate("judge checks", [bool(j.thinking) for j in judged]),
        mean("judge tokens", [float(one.length) for one in samples]),
        rate("unreliable facts right, judging", stated(world, judged)),
    ]


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    tracer: Tracer,
    problems: int = 400,
    each: int = 6,
    max_response: int = 160,
    seed: int = 0,
) -> list[Gate]:
    """All gates on ``problems`` held-out problems with ``each`` samples. The model judges its own solutions."""
    draw = random.Random(seed)
    drawn = [tracer.world.sample_split(draw, held_out=True) for _ in range(problems)]
    chains = [chain for chain in drawn for _ in range(each)]
    direct = [len(tokenizer(tracer.solve(draw, chain, Style.DIRECT)).input_ids) + 1 for chain in chains]
    solved = sample(model, tokenizer, [render(GENERATE, {"problem": c.text}) for c in chains], max_response)
    shown = judge_set(chains, [read_response(one.text) for one in solved], each, draw)
    prompts = [render(JUDGE, {"problem": s.chain.text, "response": s.response.solution_text}) for s in shown]
    judged = sample(model, tokenizer, prompts, max_response)
    generation = generation_gates(chains, solved, tracer.world, direct)
    return [*generation, *judge_gates(shown, judged, tracer.world)]
