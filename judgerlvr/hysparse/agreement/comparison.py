"""Agreement of a rollout engine with the trainer on one model, with and without replay of the rollout's choices."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

import judgerlvr.hysparse.model.registration  # noqa: F401  (registers the model type)
from judgerlvr.hysparse.agreement.engine_start import engine_settings, started
from judgerlvr.hysparse.agreement.measures import Agreement, agreement, equal_experts, pooled, split_difference
from judgerlvr.hysparse.agreement.trainer_choices import forward, trainer_choices
from judgerlvr.hysparse.conversion.model_limits import context_of
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.replay.rollout_choices import (
    REQUEST,
    Choices,
    from_parameters,
    unpacked,
    without_last,
)
from judgerlvr.hysparse.replay.served import check_served
from judgerlvr.models.configuration import CONFIG, model_context, read_config
from judgerlvr.models.tensors import check_tensors
from judgerlvr.models.weights import check_weights
from rewards.errors import InputError, reading


@dataclass(frozen=True)
class EngineRollout:
    """Tokens that the engine computed, the log-probabilities of the response tokens, and the engine's choices for all
    tokens. The choices are None if no layer selects.
    """

    ids: list[int]
    log_probs: Tensor
    choices: Choices | None


@dataclass(frozen=True)
class SequenceComparison:
    """One sequence. ``rollout``, ``own`` and ``replayed`` [response tokens] are log-probabilities: the rollout's, the
    trainer's with its own choices, and the trainer's with the rollout's choices. ``differing`` [response tokens] is
    true if a choice differs in the row that the token was sampled from. ``experts`` [MoE layers, response tokens] is
    true if the experts of that row are equal, and None for a dense model. If no layer selects, all but ``rollout`` and
    ``own`` are None.
    """

    rollout: Tensor
    own: Tensor
    replayed: Tensor | None = None
    choices: Agreement | None = None
    differing: Tensor | None = None
    experts: Tensor | None = None


def read_model_config(directory: Path) -> PretrainedConfig:
    """The model's configuration. No weight is read, and no code of the directory runs.

    Raises InputError if the directory holds no configuration that transformers reads, or one that vLLM does not serve.
    """
    check_served(read_config(directory), directory)
    with reading("transformers cannot read the configuration", "give a HySparse or Qwen3 model", directory / CONFIG):
        config: PretrainedConfig = AutoConfig.from_pretrained(directory, trust_remote_code=False)
    return config


def check_tokens(options: argparse.Namespace, config: PretrainedConfig) -> None:
    """Raise InputError if prompt and response are together longer than the model's context."""
    if model_context(options.model) is None:
        return
    with reading("no context can be read", "give the config.json that belongs to the weights", options.model / CONFIG):
        context = context_of(config.get_text_config())
    tokens = options.prompt_tokens + options.new_tokens
    if tokens > context:
        problem = f"--prompt-tokens and --new-tokens are {tokens} together, and the model's context is {context} tokens"
        raise InputError(problem, "give fewer tokens", file=options.model)


def roll_out(options: argparse.Namespace, choosing: bool) -> list[EngineRollout]:
    """Sample, with the engine's choices if the engine makes any. Raises InputError and CommandFailed as ``started``."""
    from judgerlvr.cluster.environment import prepare_environment

    on_cpu = prepare_environment()
    from vllm import SamplingParams, TokensPrompt

    llm = started(engine_settings(options, on_cpu, choosing), choosing)
    vocabulary = llm.llm_engine.model_config.get_vocab_size()
    draw = torch.Generator().manual_seed(options.seed)
    prompts = torch.randint(vocabulary, (options.prompts, options.prompt_tokens), generator=draw).tolist()
    params = SamplingParams(
        temperature=1.0,
        max_tokens=options.new_tokens,
        logprobs=0,
        ignore_eos=True,
        detokenize=False,
        extra_args=REQUEST if choosing else None,
    )
    results = llm.generate([TokensPrompt(prompt_token_ids=prompt) for prompt in prompts], params, use_tqdm=False)
    llm.llm_engine.engine_core.shutdown()
    config = llm.llm_engine.model_config.hf_text_config if choosing else None
    return [rollout_of(prompt, result, config) for prompt, result in zip(prompts, results, strict=True)]


def rollout_of(prompt: list[int], result: Any, config: HySparseConfig | None) -> EngineRollout:
    """Result of one request without the last token, which was sampled and never computed. ``config`` is None for a
    model that selects nothing.
    """
    output = result.outputs[0]
    computed = list(output.token_ids[:-1])
    found = [step[token].logprob for step, token in zip(output.logprobs, computed, strict=False)]
    choices = None
    if config is not None:
        tokens = len(prompt) + len(output.token_ids)
        values = torch.tensor(from_parameters(result.kv_transfer_params, tokens))
        choices = without_last(unpacked(values, tokens, config))
    return EngineRollout(prompt + computed, torch.tensor(found), choices)


def compare(model: Any, rollout: EngineRollout) -> SequenceComparison:
    """The trainer's side of one sequence."""
    response = slice(len(rollout.ids) - 1 - len(rollout.log_probs), None)
    if rollout.choices is None:
        return SequenceComparison(rollout.log_probs, forward(model, rollout.ids)[0][response])
    chosen, own = trainer_choices(model, rollout.ids)
    _, replayed = trainer_choices(model, rollout.ids, rollout.choices)
    found = agreement(rollout.choices.blocks, chosen.blocks, model.config.selection)
    # The log-probability of a token is computed in the row before it.
    differing = found.differing[:-1][response]
    experts = None
    if rollout.choices.experts is not None:
        experts = equal_experts(rollout.choices.experts, chosen.experts)[:, :-1][:, response]
    return SequenceComparison(rollout.log_probs, own[response], replayed[response], found, differing, experts)


def joined(sequences: Sequence[SequenceComparison], name: str) -> Tensor:
    return torch.cat([getattr(one, name) for one in sequences])


def figures(sequences: Sequence[SequenceComparison]) -> dict[str, float]:
    """Figures over the tokens of all sequences. The two parts of a gap thus add up to the whole."""
    rollout, own = joined(sequences, "rollout"), joined(sequences, "own")
    choices = [one.choices for one in sequences if one.choices is not None]
    if not choices:
        return mismatch(rollout, own, "")
    replayed, differing, found = joined(sequences, "replayed"), joined(sequences, "differing"), pooled(choices)
    named = {"rows that must choose": found.crowded, "equal choices": found.equal}
    named["response rows with a differing choice"] = differing.double().mean().item()
    experts = [one.experts.flatten() for one in sequences if one.experts is not None]
    if experts:
        named["equal experts of response rows"] = torch.cat(experts).double().mean().item()
    named |= {f"gap, {name} rows": value for name, value in split_difference(own, rollout, differing).items()}
    return named | mismatch(rollout, own, "") | mismatch(rollout, replayed, " with replay")


def mismatch(rollout: Tensor, log_probs: Tensor, how: str) -> dict[str, float]:
    """Mean |difference| of the response's log-probabilities, and KL(rollout || trainer) in nats a token.

    The estimate of KL is r - 1 - log r with r = trainer / rollout. No token makes this estimate negative.
    """
    # A ratio near 1 loses all digits of the estimate in float32.
    log_ratio = log_probs.double() - rollout.double()
    kl = (log_ratio.expm1() - log_ratio).mean().item()
    return {f"gap{how}": log_ratio.abs().mean().item(), f"KL{how}": kl}


def run(options: argparse.Namespace) -> None:
    """Print the comparison.

    Raises InputError as ``read_model_config``, ``engine_settings``, ``check_tokens`` and ``started``, and for weight
    files that do not fit config.json. Raises CommandFailed as ``started``.
    """
    config = read_model_config(options.model)
    # Whether the model has layers that select.
    choosing = bool(getattr(config, "selecting_layers", ()))
    # For what the call refuses. The engine asks again, for its own device.
    engine_settings(options, on_cpu=True, choosing=choosing)
    check_tokens(options, config)
    check_weights(options.model)
    check_tensors(options.model, trust_remote_code=False)
    rollouts = roll_out(options, choosing)
    gc.collect()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=options.dtype).to(device).eval()
    for name, value in figures([compare(model, rollout) for rollout in rollouts]).items():
        print(f"{name:40} {value:.3e}")
