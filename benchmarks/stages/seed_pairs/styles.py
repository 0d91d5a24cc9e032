"""Styles of responses, and the first word that decides a greedy response's style.

    python -m benchmarks.stages.seed_pairs.styles EXPERIMENT ... --out RECORD

Each EXPERIMENT holds seeds of ``configs/experiments/tiny_pairs_shuffled.yaml``. A rambling response opens its thinking
with `hmm`, and any other response with its first step. RECORD gets ``styles.json``, unless the file is there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.stages.seed_pairs.add_arm import BASE, arms_of
from benchmarks.stages.seed_pairs.policies import EVALUATIONS, Place
from benchmarks.stages.seed_pairs.record import rounded
from benchmarks.stages.seed_pairs.sharpening import PLAN
from judgerlvr.config.load import load_config
from judgerlvr.evaluation.documents import check_new_file
from judgerlvr.evaluation.outputs import read_output
from judgerlvr.experiments.plan import read_plan
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.tinyworld.trace_parsing import read_response
from judgerlvr.tinyworld.traces import Style
from rewards.errors import exit_code

FILE = "styles.json"
# What the thinking opens with.
RAMBLE, STEP = "<think>\nhmm", "<think>\nb="


@dataclass(frozen=True)
class First:
    """The first word of a policy's greedy responses: mean probabilities of both words, and counts of problems."""

    hmm: float
    step: float
    hmm_likelier: int
    as_likelier: int  # the greedy response opens with the likelier word


@dataclass(frozen=True)
class Styles:
    """Responses of each style, sampled at temperature 1 and greedy, and the first word."""

    sampled: dict[str, int]
    greedy: dict[str, int]
    first: First


def style_of(response: str) -> Style:
    """The style that a response shows. A careful trace without a `wait` shows the direct style."""
    if response.startswith(RAMBLE):
        return Style.RAMBLING
    return Style.CAREFUL if "wait" in read_response(response).words else Style.DIRECT


def count_styles(responses: Iterable[str]) -> dict[str, int]:
    found = Counter(map(style_of, responses))
    return {style.value: found[style] for style in Style}


def first_word(chances: Sequence[tuple[float, float]], greedy: Sequence[str]) -> First:
    """From probabilities of (`hmm`, first step) and the greedy response, problem by problem."""
    likelier = [hmm > step for hmm, step in chances]
    opened = [response.startswith(RAMBLE) for response in greedy]
    alike = sum(one == other for one, other in zip(likelier, opened, strict=True))
    hmm, step = (sum(column) / len(chances) for column in zip(*chances, strict=True))
    return First(hmm, step, sum(likelier), alike)


def chances_of(model: Path, prompts: Sequence[str]) -> list[tuple[float, float]]:
    """Probabilities of (`hmm`, first step) as the first word, by the weights in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(model)
    weights = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    last = [_tokens(tokenizer, text)[-1] for text in (RAMBLE, STEP)]
    found = []
    for prompt in prompts:
        known = torch.tensor([_tokens(tokenizer, prompt + RAMBLE)[:-1]])
        with torch.no_grad():
            hmm, step = weights(known).logits[0, -1].softmax(-1)[last].tolist()
        found.append((hmm, step))
    return found


def _tokens(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def styles_of(evaluation: Path, model: Path) -> Styles:
    records = [record for record in read_output(evaluation).records if record.kind == "generate"]
    greedy = [record for record in records if record.decoding == "greedy"]
    answers = [record.response for record in greedy]
    sampled = count_styles(record.response for record in records if record.decoding != "greedy")
    chances = chances_of(model, [record.prompt for record in greedy])
    return Styles(sampled, count_styles(answers), first_word(chances, answers))


def _of_seed(place: Place, base: Path) -> dict[str, Styles]:
    checkpoints = {"after shuffled judge": "judge-shuffled", "shuffled": "generate-shuffled"}
    trained = {
        name: styles_of(place.pair / EVALUATIONS[name], place.pair / "ckpt" / run) for name, run in checkpoints.items()
    }
    return {"base": styles_of(place.pair / BASE, base), **trained}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages.seed_pairs.styles", description=__doc__)
    parser.add_argument("experiments", type=Path, nargs="+", help="folders of experiments with the arm")
    parser.add_argument("--out", type=Path, required=True, help="folder of the record")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _run(options.experiments, options.out))


def _run(experiments: Sequence[Path], out: Path) -> None:
    check_new_file(out / FILE)
    arms, base = arms_of(experiments), Path(load_config(read_plan(PLAN).config).model.path)
    found = [
        {"seed": seed, "policies": {name: asdict(one) for name, one in _of_seed(place, base).items()}}
        for seed, place in arms.items()
    ]
    (out / FILE).write_text(json.dumps(rounded({"seeds": found}), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
