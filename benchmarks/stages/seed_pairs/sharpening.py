"""What training adds beyond sharpening: untrained weights at the entropy of trained ones, on the same problems.

    python -m benchmarks.stages.seed_pairs.sharpening EXPERIMENT ...

Each EXPERIMENT holds seeds of ``configs/experiments/tiny_pairs.yaml``. Entropy is that of a policy's own responses.
Three searches are made for each seed: the base at the entropy of JudgeRLVR, the base at that of vanilla, and vanilla at
that of JudgeRLVR. Each temperature tried is an evaluation of the product, and stays in the seed's folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.stages.seed_pairs.entropy_search import Point, at_entropy, search
from benchmarks.stages.seed_pairs.policies import Place, figures_of, mean_tokens, places
from judgerlvr.config.load import ROOT, load_config
from judgerlvr.engine.forked_imports import import_once
from judgerlvr.evaluation.outputs import SUMMARY
from judgerlvr.experiments.commands import call
from judgerlvr.experiments.plan import Plan, read_plan
from judgerlvr.reporting.evaluations import read_evaluation

PLAN = ROOT / "configs" / "experiments" / "tiny_pairs.yaml"
FOLDER = "sharpening"
# The policy whose temperature is searched, and the policies whose entropies are wanted.
SEARCHES = {"base": ("JudgeRLVR", "vanilla"), "vanilla": ("JudgeRLVR",)}


def curves_of(place: Place) -> dict[str, list[Point]]:
    """All points of each searched policy: temperature 1, and the temperatures tried so far."""
    known = figures_of(place)
    return {name: [known[name].point, *_tried(place, name)] for name in SEARCHES}


def _tried(place: Place, name: str) -> list[Point]:
    folders = sorted((place.pair / FOLDER).glob(f"{name}-*"))
    return [point_of(folder) for folder in folders if (folder / SUMMARY).is_file()]


def point_of(folder: Path) -> Point:
    (row,) = read_evaluation(folder, with_samples=False).rows("generate", greedy=False)
    return Point(row.decoding.temperature, row.entropy or 0.0, row.accuracy.value, mean_tokens(row))


def measure(place: Place, plan: Plan, name: str, temperature: float) -> Point:
    """Evaluate the base or a trained policy at a temperature, on the seed's held-out problems."""
    config = load_config(plan.config)
    model = config.model.path if name == "base" else place.pair / "ckpt" / name
    out = place.pair / FOLDER / f"{name}-{temperature:.4f}"
    call(
        "evaluate",
        *("--model", model, "--data", place.pair / "generate" / "data" / "heldout.jsonl", "--out", out),
        *("--limit", plan.evaluation.problems, "--n", plan.evaluation.samples),
        *("--temperature", f"{temperature:.4f}", "--max-tokens", config.generate.max_response_tokens),
        *("--prompt", config.data.prompt, "--verifier", config.reward.verifier),
        *("--extraction", config.reward.extraction.value),
    )
    return point_of(out)


def control(place: Place, plan: Plan, before: dict[str, list[Point]]) -> None:
    """All searches of one seed. ``before`` holds points of earlier seeds, which say where to begin."""
    known = figures_of(place)
    for name, targets in SEARCHES.items():
        for target in (known[other].entropy for other in targets):
            first = at_entropy(before[name], target).temperature if name in before else 0.0
            search(partial(measure, place, plan, name), curves_of(place)[name], target, first)
        before.setdefault(name, []).extend(curves_of(place)[name])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages.seed_pairs.sharpening", description=__doc__)
    parser.add_argument("experiments", type=Path, nargs="+", help="folders of experiments with seeds")
    options = parser.parse_args(arguments)
    plan = read_plan(PLAN)
    import_once("cpu", None)
    before: dict[str, list[Point]] = {}
    for place in places(options.experiments).values():
        control(place, plan, before)
    return 0


if __name__ == "__main__":
    sys.exit(main())
