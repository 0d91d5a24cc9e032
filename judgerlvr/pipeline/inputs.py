"""Inputs that can be tried before anything is sampled: card, prompts, trackers and names of the libraries."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, load_template
from judgerlvr.config.choices import Extraction
from judgerlvr.config.load import ROOT
from judgerlvr.config.schema import JudgeData, Logging, Reward
from judgerlvr.engine.devices import PACKED
from judgerlvr.engine.private.engine_arguments import (
    check_decided,
    check_engine_arguments,
    check_engine_values,
    check_room_for,
)
from judgerlvr.models.tensors import empty_model
from judgerlvr.planning.machine import visible_cards
from judgerlvr.runs.manifest import length_term
from judgerlvr.runs.policy_card import check_against, read_card, used_facts
from judgerlvr.runs.request import Request
from rewards.errors import InputError, reading
from rewards.verdict import DEFAULT_WORDS, check_words
from rewards.verifier import load_verifier

# Trackers of verl that are packages of their own, by the key of ``logging`` and the package's name.
TRACKERS = ("wandb", "mlflow")
# The shipped bases were taught their box and verdict words, so that their short prompts name none.
TAUGHT_TO_BOX = ROOT / "configs" / "prompts" / "tiny_generate.txt"
TAUGHT = ROOT / "configs" / "prompts" / "tiny_judge.txt"


def check_trackers(logging: Logging) -> None:
    """Refuse a tracker that is switched on and not installed.

    Raises:
        InputError: naming the package and the key.
    """
    for name in TRACKERS:
        if getattr(logging, name) and importlib.util.find_spec(name) is None:
            raise InputError(f"{name} is not installed", f"pip install {name}, or unset it", field=f"logging.{name}")


def check_libraries(request: Request) -> None:
    """Refuse names and values that vLLM and transformers do not know, or that this device cannot take.

    Raises:
        InputError: the engines would end at their start.
    """
    cluster, where = request.config.cluster, "cluster.rollout_engine"
    longest = request.config.max_prompt_tokens + request.config.longest_sampled(request.kind)
    check_engine_arguments(cluster.rollout_engine, f"{where}.")
    check_decided(cluster.rollout_engine, f"{where}.")
    check_room_for(longest, cluster.rollout_engine, f"{where}.")
    if cluster.rollout_engine and (request.device == "cpu" or visible_cards()):
        dtype = {"dtype": "float32"} if request.device == "cpu" else {}
        arguments = {"max_model_len": longest, **dtype, **cluster.rollout_engine}
        check_engine_values(request.init, arguments, where)
    check_attention(request)


def check_attention(request: Request) -> None:
    """Refuse an attention that transformers does not have, or that cannot run on the stage's device.

    Raises:
        InputError: naming the key.
    """
    cluster, field = request.config.cluster, "cluster.attention"
    if cluster.attention in ("auto", PACKED):
        return
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    # Paged attention serves and does not train.
    known = [name for name in ("eager", *ALL_ATTENTION_FUNCTIONS.valid_keys()) if not name.startswith("paged")]
    on_cpu = [name for name in known if "flash" not in name]
    names = list(dict.fromkeys(["auto", PACKED, *(on_cpu if request.device == "cpu" else known)]))
    if cluster.attention not in names and ("/" not in cluster.attention or request.device == "cpu"):
        where = "has no such attention" if cluster.attention not in known else "runs this attention on GPUs alone"
        raise InputError(f"transformers {where}", f"use one of {', '.join(names)}", field=field)
    if request.device == "cpu" or visible_cards():
        problem, remedy = "transformers cannot take this attention here", "set cluster.attention=auto"
        with reading(problem, remedy, field=field):
            empty_model(request.init, request.config.model.trust_remote_code, cluster.attention)
    if cluster.share_prefixes:
        remedy = f"set cluster.attention=auto, or cluster.share_prefixes=false ({cluster.attention} is set)"
        raise InputError("prefixes are shared in our own attention alone", remedy, field="cluster.share_prefixes")


def unasked_box(prompt: Path, reward: Reward) -> str | None:
    """A word on a prompt that asks for no box, where nothing else is read as an answer."""
    strict = reward.extraction is Extraction.strict and load_verifier(reward.verifier).reads == "answer"
    if not strict or prompt == TAUGHT_TO_BOX or "boxed" in load_template(prompt, GENERATE_FIELDS):
        return None
    return f"{prompt} does not ask for \\boxed{{}}, and nothing else counts"


def check_card(request: Request, override: bool, thinking_open: bool) -> list[str]:
    """Differences between the starting policy's card and the configuration, as far as the stage reads the facts.

    Raises:
        InputError: the prompt, extraction, verifier or verdict words differ, without ``override``.
    """
    card = read_card(request.init)
    if card is None:
        return []
    told = {
        "temperature": request.config.temperature,
        "max_response_tokens": request.config.generate.max_response_tokens,
        "length_term": length_term(request.settings),
        # The chat template may have been changed since.
        "thinking_open": thinking_open,
    }
    return check_against(card, used_facts(request.kind, request.config) | told, request.init, override)


def check_verdicts(judge: JudgeData) -> None:
    """Refuse verdict words that the judge prompt of the configuration does not ask for."""
    check_asked_words(Path(judge.prompt), judge.verdicts, "judge.data.verdicts")


def check_asked_words(path: Path, words: Sequence[str], setting: str) -> None:
    """Refuse verdict words that a judge prompt does not ask for: every verdict would be unreadable.

    Raises:
        InputError: naming the word and the ``setting`` that gives the words.
    """
    template = load_template(path, JUDGE_FIELDS)
    check_words(words)
    if path == TAUGHT and tuple(words) == DEFAULT_WORDS:
        return
    for word in words:
        # \b fails beside a word that begins or ends with a mark.
        if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", template):
            remedy = f"write the word into the template, or set {setting} to the template's words"
            raise InputError(f"verdict word {word!r} does not occur", remedy, file=path, field=setting)
