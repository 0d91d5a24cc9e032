"""A model directory, checked as far as its files tell, before any weight is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from judgerlvr.cluster.ray import has_cards
from judgerlvr.hysparse.replay.served import check_served
from judgerlvr.models.configuration import CONFIG, POINTER, read_config, refuse_pointer
from judgerlvr.models.generation import check_generation
from judgerlvr.models.limits import check_context
from judgerlvr.models.tensors import check_tensors
from judgerlvr.models.weights import check_weights, refuse_adapter
from rewards.errors import InputError, reading

# Only results and errors that concern a user reach the console.
QUIET = {"TRANSFORMERS_VERBOSITY": "error", "VLLM_LOGGING_LEVEL": "ERROR", "TORCH_CPP_LOG_LEVEL": "ERROR"}
# A prompt that every chat template must repeat.
PROBE = "Is 17 a prime?"
# A vocabulary is often padded to a round number. Below this share a vocabulary is another one.
LEAST_COVERED = 0.9
# Files of a tokenizer that Git LFS may keep.
TEXTS = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "tokenizer.model", "vocab.json")
# Endings of transformers' names of models that write text.
WRITERS = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")


def check_model(directory: Path, longest: int, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a usable policy.

    Raises:
        InputError: an adapter, layers that vLLM does not serve, an unknown backend of HySparse, missing files, no chat
            template, a tokenizer larger than the embedding, or a context shorter than prompt plus response.
    """
    refuse_adapter(directory)
    config = read_config(directory)
    check_served(config, directory / CONFIG)
    if config.get("model_type") == "hysparse":
        from judgerlvr.hysparse.ops.available import check_backend  # torch is for these models only

        check_backend()
    if not any(directory.glob("*.safetensors")):
        raise InputError("no *.safetensors in the model directory", _remedy(directory), file=directory)
    check_context(directory, longest)
    check_architecture(directory, trust_remote_code)
    tokenizer = load_tokenizer(directory, trust_remote_code)
    vocabulary = config.get("vocab_size", len(tokenizer))
    if len(tokenizer) > vocabulary:
        problem = f"vocab mismatch: tokenizer has {len(tokenizer)} tokens, the model {vocabulary}"
        raise InputError(problem, "use the tokenizer that the model was trained with", file=directory)
    check_generation(directory, vocabulary)
    check_weights(directory)
    check_tensors(directory, trust_remote_code)
    return tokenizer


def small_tokenizer(directory: Path, tokenizer: Any) -> str | None:
    """A tokenizer far smaller than the model's vocabulary, in words.

    verl masks rollout logits beyond the tokenizer's length, and the trainer's softmax counts all logits. So rollout
    and trainer differ by the probability of the tokens in between.
    """
    vocabulary = read_config(directory).get("vocab_size", len(tokenizer))
    if len(tokenizer) >= LEAST_COVERED * vocabulary:
        return None
    return (
        f"the tokenizer has {len(tokenizer)} tokens, the model {vocabulary}: rollouts leave out the tokens in "
        "between, which the trainer counts"
    )


def _remedy(directory: Path) -> str:
    """What gives weights to a directory without any; a run's checkpoint needs an export of its own."""
    found = [path for path in (directory, *directory.parents) if (path / "actor" / "fsdp_config.json").is_file()]
    return f"python -m judgerlvr.export {found[0]}" if found else "give a complete checkpoint"


def check_architecture(directory: Path, trust_remote_code: bool) -> None:
    """Raise an InputError for a model that transformers does not know, or that classifies or embeds texts."""
    _be_quiet()
    from transformers import AutoConfig

    import judgerlvr.hysparse.model.registration  # noqa: F401  (registers the model type)

    remedy = "mend the file, use a model that this version of transformers knows, or set model.trust_remote_code=true"
    with reading("transformers cannot read the model's configuration", remedy, file=directory / CONFIG):
        names = AutoConfig.from_pretrained(directory, trust_remote_code=trust_remote_code).architectures
    if names and not any(str(name).endswith(WRITERS) for name in names):
        problem = f"{', '.join(map(str, names))} writes no text"
        raise InputError(problem, "give a language model", file=directory / CONFIG, field="architectures")


def load_tokenizer(directory: Path, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a model directory, checked to be usable for chat prompts.

    Raises:
        InputError: no model, no tokenizer, no chat template or no end-of-sequence token.
    """
    _be_quiet()
    from transformers import AutoTokenizer

    read_config(directory)
    if not (directory / "tokenizer_config.json").is_file():
        raise InputError("no tokenizer in the model directory", "add the tokenizer's files", file=directory)
    _refuse_pointers(directory)
    with reading("transformers cannot load the tokenizer", "download the tokenizer's files again", file=directory):
        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=trust_remote_code)
    if not tokenizer.chat_template:
        raise InputError("the tokenizer has no chat template", "add chat_template.jinja", file=directory)
    if tokenizer.eos_token_id is None:
        raise InputError("the tokenizer has no end-of-sequence token", "set eos_token", file=directory)
    _check_chat_template(tokenizer, directory)
    return tokenizer


def _refuse_pointers(directory: Path) -> None:
    """Raise an InputError for a tokenizer's file that Git LFS did not download."""
    for path in (directory / name for name in TEXTS):
        if path.is_file():
            with path.open("rb") as file:
                refuse_pointer(file.read(len(POINTER)), path)


def _be_quiet() -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from transformers import logging

    # The variable counts at the first import alone, which may lie behind.
    logging.set_verbosity_error()


def _check_chat_template(tokenizer: Any, directory: Path) -> None:
    """Refuse a template that fails, or that loses the prompt: every sample would answer the same empty question."""
    with reading("the chat template fails", "mend chat_template.jinja", file=directory):
        turn = [{"role": "user", "content": PROBE}]
        text = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    if PROBE not in text:
        raise InputError("the chat template leaves out the prompt", "mend chat_template.jinja", file=directory)


def pick_device(choice: str, here: bool = True, address: str | None = None) -> Literal["cpu", "gpu"]:
    """cpu or gpu; auto is gpu where torch sees one. ``here``: the device must be in this machine.

    A running cluster at ``address`` is asked in place of this machine, whose cards count for nothing then.

    Raises:
        InputError: a GPU is asked for, must be here and is not, or no cluster answers.
    """
    if address and choice != "cpu":
        return "gpu" if choice == "gpu" or has_cards(address) else "cpu"
    import torch

    found: Literal["cpu", "gpu"] = "gpu" if torch.cuda.is_available() else "cpu"
    if here and choice == "gpu" and found == "cpu":
        remedy = "set cluster.device=cpu, or RAY_ADDRESS to a cluster with GPUs"
        raise InputError("no GPU is visible here", remedy, field="cluster.device")
    if choice == "auto":
        return found
    return "cpu" if choice == "cpu" else "gpu"
