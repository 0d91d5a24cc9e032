"""The card of a policy: how the policy was asked and graded, kept beside the weights.

Without the card an evaluation with another prompt or other verdict words measures something else in silence.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, load_template, render
from judgerlvr.config.choices import Extraction
from judgerlvr.config.schema import Config, JudgeStage, Kind
from judgerlvr.runs.files import write_atomically
from judgerlvr.runs.manifest import read_manifest
from judgerlvr.runs.stage import Stage
from rewards.errors import InputError, reading

CARD = "judgerlvr_card.json"
# What a served policy is asked about where no training row is at hand.
EXAMPLE = {"problem": "What is 3 + 4 * 2?", "response": "3 + 4 * 2 = 11, so the answer is \\boxed{11}."}
# Facts that decide what a number means. Others are only told.
ASKED = ("generation_prompt", "judge_prompt", "verdicts")
BINDING = (*ASKED, "extraction", "verifier")


def _asks(fields: tuple[str, ...]) -> Callable[[Any], bool]:
    """Whether a value is the text of a template with all of ``fields``, or None."""
    return lambda text: text is None or (isinstance(text, str) and all(f"{{{{{name}}}}}" in text for name in fields))


def _is_number(value: Any, least: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= least


def _are_words(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) == 2 and all(isinstance(word, str) for word in value)
    )


# What each fact of a card can be. The card's reader holds a file against these.
FACTS: Mapping[str, Callable[[Any], bool]] = {
    "stage": lambda value: value in get_args(Kind),
    "generation_prompt": _asks(GENERATE_FIELDS),
    "judge_prompt": _asks(JUDGE_FIELDS),
    "verdicts": _are_words,
    "extraction": lambda value: value in tuple(Extraction),
    "verifier": lambda value: isinstance(value, str),
    "thinking_open": lambda value: isinstance(value, bool),
    "max_response_tokens": lambda value: isinstance(value, int) and _is_number(value, 1),
    "temperature": lambda value: _is_number(value, 0),
    "parent_hash": lambda value: isinstance(value, str),
    "length_term": lambda value: isinstance(value, str),
}


@dataclass(frozen=True)
class PolicyCard:
    """Facts of one policy. Prompts are the text of the templates, and ``thinking_open`` is the chat template's tag.

    A prompt or the verdicts are None where neither the run nor the runs before asked the policy with such a prompt.
    """

    stage: str
    generation_prompt: str | None
    judge_prompt: str | None
    verdicts: tuple[str, ...] | None
    extraction: str
    verifier: str
    thinking_open: bool
    max_response_tokens: int
    temperature: float
    parent_hash: str
    length_term: str

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def card_of(stage: Stage) -> PolicyCard:
    """The card of a stage's policy. A fact that the stage does not use is the starting policy's, or None."""
    manifest, parent = read_manifest(stage.run_dir), read_card(stage.init)
    before: dict[str, Any] = {name: getattr(parent, name, None) for name in ASKED}
    return PolicyCard(
        stage=stage.kind,
        **(before | used_facts(stage.kind, stage.config)),
        thinking_open=bool(stage.reward_kwargs.get("thinking_open", False)),
        max_response_tokens=stage.config.generate.max_response_tokens,
        temperature=stage.config.temperature,
        parent_hash=manifest.parent.hash,
        length_term=manifest.length_term,
    )


def asks_to_generate(kind: Kind, judge: JudgeStage) -> bool:
    """Whether a stage samples with the generation prompt. A judge stage on response files need not."""
    return kind == "generate" or not judge.data.responses or judge.solving.problems > 0


def used_facts(kind: Kind, config: Config) -> dict[str, Any]:
    """The binding facts of a configuration that a stage uses."""
    facts: dict[str, Any] = {"extraction": config.reward.extraction.value, "verifier": config.reward.verifier}
    if asks_to_generate(kind, config.judge):
        facts["generation_prompt"] = load_template(Path(config.data.prompt), GENERATE_FIELDS)
    if kind == "judge":
        facts["judge_prompt"] = load_template(Path(config.judge.data.prompt), JUDGE_FIELDS)
        facts["verdicts"] = tuple(config.judge.data.verdicts)
    return facts


def write_card(policy: Path, card: PolicyCard) -> None:
    """Write the card beside the policy's weights, or into the folder of a run that trains the policy."""
    write_atomically(policy / CARD, card.to_json())


def read_card(policy: Path) -> PolicyCard | None:
    """The card of a model directory, None for a model from elsewhere.

    Raises:
        InputError: the card is damaged.
    """
    path = policy / CARD
    # A directory or a link that leads nowhere is no absent card.
    if not os.path.lexists(path):
        return None
    if path.exists() and not path.is_file():
        raise InputError("is no file", "restore the file, or remove it to do without", file=path)
    with reading("not a policy's card", "restore the file, or remove it to do without", file=path):
        values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_once)
        # Facts of later versions are passed over.
        known = {item.name: values[item.name] for item in fields(PolicyCard)}
    for name, fits in FACTS.items():
        if not fits(known[name]):
            problem = f"{_short(known[name])} cannot be what the card says"
            raise InputError(problem, "restore the file, or remove it to do without", file=path, field=name)
    return PolicyCard(**{**known, "verdicts": known["verdicts"] and tuple(known["verdicts"])})


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object. Of two facts of one name the last would hold, without a word."""
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice} stands there twice")
    return dict(pairs)


def run_card(stage: Stage) -> PolicyCard:
    """The card that a run wrote when the run began, checked against the files that the run would read now.

    A run of an older version has none. Such a run gets the card of the files as the files are now.

    Raises:
        InputError: a template or the configuration has changed since.
    """
    card = read_card(stage.run_dir)
    if card is None:
        return card_of(stage)
    facts = asdict(card)
    for name, value in used_facts(stage.kind, stage.config).items():
        if value != facts[name]:
            problem = f"{name}: the run began with {_short(facts[name])}, now {_short(value)}"
            raise InputError(problem, "restore the template, or start a new run", file=stage.run_dir / CARD)
    return card


def check_against(card: PolicyCard, wanted: dict[str, Any], policy: Path, override: bool) -> list[str]:
    """Lines that tell how ``wanted`` differs from the card. Names are the card's, whose absent facts match anything.

    Raises:
        InputError: a binding fact differs, without ``override``.
    """
    facts = asdict(card)
    different = {name: value for name, value in wanted.items() if facts[name] not in (None, value)}
    lines = [f"{name}: {_short(facts[name])} on the card, {_short(value)} here" for name, value in different.items()]
    binding = [line for name, line in zip(different, lines, strict=True) if name in BINDING]
    if binding and not override:
        raise InputError("; ".join(binding), "use the card's, or give --override-card", file=policy / CARD)
    return lines


def _short(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def serve_command(model: str, device: str) -> str:
    """The command of vLLM's server. On a CPU the options keep fp32, spare minutes of compiling, and bound memory."""
    options = ["--dtype", "float32", "--enforce-eager", "--kv-cache-memory-bytes", "1G"] if device == "cpu" else []
    return shlex.join(["vllm", "serve", model, *options])


def curl_command(card: PolicyCard, model: str, shown: Mapping[str, str] = EXAMPLE) -> str:
    """A command that asks a served policy about the problem and response ``shown``, with the prompt of its training."""
    prompt = card.generation_prompt or card.judge_prompt or "{{problem}}"
    body = {
        "model": model,
        "messages": [{"role": "user", "content": render(prompt, EXAMPLE | dict(shown))}],
        "max_tokens": card.max_response_tokens,
        "temperature": 0,
    }
    words = ["curl", "-sS", "http://localhost:8000/v1/chat/completions", "-H", "Content-Type: application/json"]
    return shlex.join([*words, "-d", json.dumps(body, ensure_ascii=False)])
