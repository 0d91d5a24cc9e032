"""The engine of a comparison: its arguments, what vLLM says against them, and its start."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from judgerlvr.cli import parse_engine_options
from judgerlvr.hysparse.replay.rollout_choices import TRANSFER
from rewards.errors import InputError, failing, one_line, reading

# The first three have options of their own. The comparison rests on the others.
FIXED = ("model", "dtype", "max_model_len", "skip_tokenizer_init", "kv_transfer_config", "async_scheduling")
# With these the engine has other weights, or another model, than the trainer.
OTHER_MODEL = (
    *(
        "load_format",
        "model_weights",
        "quantization",
        "quantization_config",
        "kv_cache_dtype",
        "disable_sliding_window",
    ),
    *("hf_config_path", "hf_overrides", "config_format", "model_impl", "model_class_overrides", "trust_remote_code"),
    *("tokenizer", "tokenizer_mode", "tokenizer_revision", "revision", "code_revision"),
)
# With these the log-probabilities are not those of the distribution that tokens are drawn from.
OTHER_FIGURES = ("logprobs_mode", "logits_processors", "watermark_config", "runner", "convert")


def engine_settings(options: argparse.Namespace, on_cpu: bool, choosing: bool) -> dict[str, Any]:
    """Arguments of ``vllm.LLM``. ``--engine`` wins. Raises InputError for an argument that the comparison rests on."""
    given = parse_engine_options(options.engine)
    for name in given:
        if name in FIXED:
            raise InputError("is set by the command itself", "leave it out", field=f"--engine {name}")
        if name in OTHER_MODEL + OTHER_FIGURES:
            raise InputError("would change what is compared", "leave it out", field=f"--engine {name}")
    memory = {} if on_cpu else {"gpu_memory_utilization": options.memory}
    carrying = {"kv_transfer_config": TRANSFER, "async_scheduling": False} if choosing else {}
    fixed = {
        "model": str(options.model),
        "dtype": options.dtype,
        "max_model_len": options.prompt_tokens + options.new_tokens,
        "skip_tokenizer_init": True,
    }
    return {**fixed, **memory, **carrying, **given}


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise InputError for an argument that is not among vLLM's ``known`` ones."""
    known = sorted(known)
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise InputError("vLLM has no such argument", f"did you mean {near}?", field=f"--engine {name}")


def started(settings: dict[str, Any], choosing: bool) -> Any:
    """A ``vllm.LLM``. vLLM and HySparse check the arguments here, before processes and weights.

    Raises:
        InputError: an argument that vLLM does not know, or a value that vLLM or HySparse refuses.
        CommandFailed: the engine did not start.
    """
    from vllm import LLM, EngineArgs
    from vllm.config import KVTransferConfig

    from judgerlvr.hysparse.vllm.checks import check_engine

    check_names(settings, (field.name for field in fields(EngineArgs)))
    carried = {"kv_transfer_config": KVTransferConfig(**TRANSFER)} if choosing else {}
    with reading("vLLM refuses the engine's arguments", "mend or leave out the value", field="--engine"):
        config = EngineArgs(**(settings | carried)).create_engine_config()
        if choosing:
            # An engine in a process of its own would keep the reason to itself.
            check_engine(config)
    with failing(not_started):
        return LLM(**settings)


def not_started(error: Exception) -> str:
    """An engine in a process of its own prints its reason above."""
    remedy = "mend --engine or --memory. Lines above may say more"
    return f"the engine did not start ({type(error).__name__}: {one_line(error)}); {remedy}"
