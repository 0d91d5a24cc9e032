"""Judge batches that cost as many generated tokens as the generate stage's: judging samples are far shorter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from data.labelling import Triplet
from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, load_template, render
from judgerlvr.config.check import prompt_multiple
from judgerlvr.config.schema import Config
from judgerlvr.runs.request import Place
from judgerlvr.sampling.candidates import sample_candidates
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.on_ray import run_on_ray, vllm_arguments
from rewards.types import Problem

MEASURED_PROMPTS = 64


def matched_prompts(place: Place, init: Path, triplets: Sequence[Triplet], rows: int) -> int:
    """Judge prompts a step whose expected tokens equal a generate step's, from a sample of both with ``init``.

    ``rows`` counts the judge prompts of the training data: a step never asks for more.
    """
    config = place.config
    shown = list(triplets)[:MEASURED_PROMPTS]
    prompts = _prompts(config, shown)
    longest = (config.generate.max_response_tokens, config.judge.max_response_tokens)
    engine = vllm_arguments(place)
    generate_tokens, judge_tokens = run_on_ray(place, _mean_lengths, init, prompts, longest, config, engine)
    return prompts_for(config, generate_tokens, judge_tokens, rows)


def prompts_for(config: Config, generate_tokens: float, judge_tokens: float, rows: int) -> int:
    """The arithmetic: equal tokens a step, rounded to what divides among updates and ranks, at most ``rows``."""
    generate, judge, cluster = config.generate.batch, config.judge.batch, config.cluster
    wanted = generate.fixed_prompts * generate.samples_per_prompt * generate_tokens
    prompts = min(wanted / (judge.samples_per_prompt * judge_tokens), rows)
    ranks = cluster.nodes * cluster.gpus_per_node
    multiple = prompt_multiple(judge.updates_per_step, judge.samples_per_prompt, ranks)
    nearest = max(1, round(prompts / multiple)) * multiple
    return nearest - multiple if multiple < nearest > rows else nearest


def _prompts(config: Config, triplets: Sequence[Triplet]) -> tuple[list[Problem], list[Problem]]:
    """Generate and judge prompts as problems whose text is the whole prompt."""
    solve = load_template(Path(config.data.prompt), GENERATE_FIELDS)
    judge = load_template(Path(config.judge.data.prompt), JUDGE_FIELDS)
    solving = [Problem(t.id, render(solve, {"problem": t.problem.text})) for t in triplets]
    judging = [Problem(t.id, render(judge, {"problem": t.problem.text, "response": t.response})) for t in triplets]
    return solving, judging


def _mean_lengths(
    model: Path,
    prompts: tuple[list[Problem], list[Problem]],
    longest: tuple[int, int],
    config: Config,
    engine: dict[str, object],
) -> tuple[float, float]:
    means = []
    for problems, limit in zip(prompts, longest, strict=True):
        decoding = Decoding(n=1, temperature=config.temperature, max_tokens=limit, seed=config.seed)
        rows = sample_candidates([model], problems, "{{problem}}", decoding, engine)
        means.append(fmean(row["tokens"] for row in rows))
    return means[0], means[1]
