"""Judge batches that cost as many generated tokens as the generate stage's: judging samples are far shorter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from data.judge_row import judge_row
from data.labelling import Triplet
from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, load_template
from data.verl_rows import generate_chat
from judgerlvr.cluster.own_folder import own_folder
from judgerlvr.config.check import data_ranks, prompt_multiple
from judgerlvr.config.schema import Batch, Cluster
from judgerlvr.runs.request import Place
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.engines import Engines, EngineSettings
from judgerlvr.sampling.on_ray import ray_engines
from judgerlvr.sampling.plan import Job
from judgerlvr.sampling.samples import Item
from judgerlvr.sampling.streaming import sample_items

MEASURED_PROMPTS = 64


def matched_prompts(place: Place, init: Path, triplets: Sequence[Triplet], rows: int) -> int:
    """Judge prompts a step whose expected tokens equal a generate step's, from a sample of both with ``init``.

    ``rows`` counts the judge prompts of the training data: a step never asks for more.
    """
    config = place.config
    solve = load_template(Path(config.data.prompt), GENERATE_FIELDS)
    judge = load_template(Path(config.judge.data.prompt), JUDGE_FIELDS)
    solving, judging = _items(solve, judge, list(triplets)[:MEASURED_PROMPTS])
    settings = EngineSettings.of_place(place)
    decoding = Decoding(1, config.temperature, max_tokens=config.generate.max_response_tokens, seed=config.seed)
    with ray_engines(settings) as engines:
        generate_tokens = _mean_length(engines, settings, init, solving, decoding)
        decoding = replace(decoding, max_tokens=config.judge.max_response_tokens)
        judge_tokens = _mean_length(engines, settings, init, judging, decoding)
    return prompts_for(config.generate.batch, config.judge.batch, config.cluster, (generate_tokens, judge_tokens), rows)


def prompts_for(generate: Batch, judge: Batch, cluster: Cluster, mean_tokens: tuple[float, float], rows: int) -> int:
    """The arithmetic: equal tokens a step, rounded to what divides among updates and ranks, at most ``rows``.

    ``mean_tokens`` are the tokens of a mean generate sample and of a mean judge sample.
    """
    generate_tokens, judge_tokens = mean_tokens
    wanted = generate.fixed_prompts * generate.samples_per_prompt * generate_tokens
    prompts = min(wanted / (judge.samples_per_prompt * judge_tokens), rows)
    multiple = prompt_multiple(judge.updates_per_step, judge.samples_per_prompt, data_ranks(cluster))
    nearest = max(1, round(prompts / multiple)) * multiple
    return nearest - multiple if multiple < nearest > rows else nearest


def _items(solve: str, judge: str, triplets: Sequence[Triplet]) -> tuple[list[Item], list[Item]]:
    """Generate and judge prompts of the same triplets, from the templates ``solve`` and ``judge``."""
    solving = [generate_chat(t.problem, solve) for t in triplets]
    judging = [judge_row(t, judge).prompt for t in triplets]
    return (
        [Item(t.id, "solving", t.problem, chat) for t, chat in zip(triplets, solving, strict=True)],
        [Item(t.id, "judging", t.problem, chat, t.label) for t, chat in zip(triplets, judging, strict=True)],
    )


def _mean_length(
    engines: Engines, settings: EngineSettings, model: Path, items: Sequence[Item], decoding: Decoding
) -> float:
    job = Job(model, decoding, model.name)
    with own_folder("judgerlvr-lengths-") as folder:
        store = sample_items(folder, items, [job], engines, engine=settings.arguments)
        return fmean(sample.tokens or 0 for _, sample in store.samples(items))
