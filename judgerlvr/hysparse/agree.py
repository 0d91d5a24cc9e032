"""Rollout (vLLM) against trainer (transformers): equal choices of blocks, log-probabilities with and without replay.

    python -m judgerlvr.hysparse.agree DIR --prompts 8 --prompt-tokens 4096 --new-tokens 256 --dtype bfloat16

Prompts are random tokens; responses are sampled at temperature 1, all at once.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from judgerlvr.cli import exit_code
from judgerlvr.hysparse.agreement import agreement, split_difference
from judgerlvr.hysparse.capture import trainer_choices
from judgerlvr.hysparse.carried import REQUEST, TRANSFER, from_parameters
from rewards.errors import InputError


@dataclass(frozen=True)
class Rollout:
    """Tokens that the engine computed, its choices for them [layers, tokens, kv_heads, count], and the
    log-probabilities of the response tokens among them."""

    ids: list[int]
    choices: Tensor
    log_probs: Tensor


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m judgerlvr.hysparse.agree", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("model", type=Path, help="directory of a HySparse model")
    parser.add_argument("--prompts", type=int, default=8, help="default %(default)s")
    parser.add_argument("--prompt-tokens", type=int, default=256, help="default %(default)s")
    parser.add_argument("--new-tokens", type=int, default=128, help="default %(default)s")
    parser.add_argument(
        "--dtype", choices=["float32", "bfloat16"], default="float32", help="of both (default %(default)s)"
    )
    parser.add_argument("--memory", type=float, default=0.4, help="share of a GPU for the engine (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="draws the prompts (default %(default)s)")
    return parser.parse_args(arguments)


def roll_out(options: argparse.Namespace) -> list[Rollout]:
    """Sample, with the choices that the engine returns."""
    from judgerlvr.evaluation.sample import prepare_environment

    on_cpu = prepare_environment()
    from vllm import LLM, SamplingParams, TokensPrompt

    memory = {} if on_cpu else {"gpu_memory_utilization": options.memory}
    llm = LLM(
        model=str(options.model),
        dtype=options.dtype,
        max_model_len=options.prompt_tokens + options.new_tokens,
        kv_transfer_config=TRANSFER,
        async_scheduling=False,
        skip_tokenizer_init=True,
        **memory,
    )
    vocabulary = llm.llm_engine.model_config.get_vocab_size()
    draw = torch.Generator().manual_seed(options.seed)
    prompts = torch.randint(vocabulary, (options.prompts, options.prompt_tokens), generator=draw).tolist()
    params = SamplingParams(
        temperature=1.0,
        max_tokens=options.new_tokens,
        logprobs=0,
        ignore_eos=True,
        detokenize=False,
        extra_args=REQUEST,
    )
    results = llm.generate([TokensPrompt(prompt_token_ids=prompt) for prompt in prompts], params, use_tqdm=False)
    llm.llm_engine.engine_core.shutdown()
    heads = llm.llm_engine.model_config.hf_text_config.num_key_value_heads
    return [rollout_of(prompt, result, heads) for prompt, result in zip(prompts, results, strict=True)]


def rollout_of(prompt: list[int], result: Any, kv_heads: int) -> Rollout:
    """One request's result, without its last token: that one was sampled and never computed."""
    output = result.outputs[0]
    computed = list(output.token_ids[:-1])
    found = [step[token].logprob for step, token in zip(output.logprobs, computed, strict=False)]
    rows = torch.from_numpy(from_parameters(result.kv_transfer_params, len(prompt) + len(output.token_ids)))
    choices = rows[:-1].unflatten(2, (kv_heads, -1)).transpose(0, 1)
    return Rollout(prompt + computed, choices, torch.tensor(found))


def compare(model: Any, rollout: Rollout) -> dict[str, float]:
    """Figures of one sequence; ``gap`` is the mean |difference| of response log-probabilities."""
    response = slice(len(rollout.ids) - 1 - len(rollout.log_probs), None)
    chosen, own = trainer_choices(model, rollout.ids)
    _, replayed = trainer_choices(model, rollout.ids, rollout.choices)
    found = agreement(rollout.choices, chosen, model.config.selection)
    # The log-probability of a token is computed in the row before it.
    differing = found.differing[:-1][response]
    figures = {"rows that must choose": found.crowded, "equal choices": found.equal}
    figures["response rows with a differing choice"] = differing.double().mean().item()
    figures["gap"] = (own[response] - rollout.log_probs).abs().mean().item()
    figures["gap with replay"] = (replayed[response] - rollout.log_probs).abs().mean().item()
    figures["KL"] = (rollout.log_probs - own[response]).mean().item()
    figures["KL with replay"] = (rollout.log_probs - replayed[response]).mean().item()
    split = split_difference(own[response], rollout.log_probs, differing)
    return figures | {f"gap, {name} rows": value for name, value in split.items()}


def run(options: argparse.Namespace) -> None:
    if not (options.model / "config.json").is_file():
        raise InputError("no model there", "give a directory with config.json and weights", file=options.model)
    rollouts = roll_out(options)
    gc.collect()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=options.dtype).to(device).eval()
    rows = [compare(model, rollout) for rollout in rollouts]
    for name in dict.fromkeys(name for row in rows for name in row):
        print(f"{name:40} {fmean(row[name] for row in rows if name in row):.3e}")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    return exit_code(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
