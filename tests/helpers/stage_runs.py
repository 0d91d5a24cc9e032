"""Helpers of tests that run whole stages: settings of a few seconds a step, and candidates without a sampled model."""

import random

from data.jsonl import write_jsonl
from judgerlvr.tinyworld.problems import generate_problems
from judgerlvr.tinyworld.task import World, parse_chain
from judgerlvr.tinyworld.traces import Tracer

SMALL = [
    "--config=configs/tiny.yaml",
    "judge.batch.prompts_per_step=8",
    "judge.batch.samples_per_prompt=4",
    "judge.batch.updates_per_step=2",
    "judge.algorithm.dynamic_sampling=false",
    "judge.data.heldout_problems=10",
    "generate.batch.prompts_per_step=8",
    "generate.batch.samples_per_prompt=4",
    "generate.batch.updates_per_step=2",
    "data.tiny_train=64",
]

# Both stages of one arm, as a plan of ``judgerlvr.experiment``.
PLAN = """
config: configs/tiny.yaml
overrides: [{overrides}]
arms:
  JudgeRLVR: {{stages: [{{stage: judge, name: judge}}, {{stage: generate, name: generate}}]}}
evaluation: {{problems: 8, samples: 1}}
"""


def write_candidates(path):
    """Solutions by the tiny world's tracer, of mixed outcomes."""
    draw, tracer = random.Random(0), Tracer(World())
    rows = [
        {**problem, "response": tracer.solve(draw, parse_chain(problem["problem"]))}
        for problem in generate_problems(60, 0)
        for _ in range(6)
    ]
    write_jsonl(path, rows)
