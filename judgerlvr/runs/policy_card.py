"""The card of a policy: how the policy was asked and graded, kept beside the weights.

Without the card an evaluation with another prompt or other verdict words measures something else in silence.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from data.prompts import GENERATE_FIELDS, JUDGE_FIELDS, load_template, render
from judgerlvr.config.schema import Config
from judgerlvr.runs.files import write_atomically
from judgerlvr.runs.manifest import read_manifest
from judgerlvr.runs.stage import Stage
from rewards.errors import InputError, reading

CARD = "judgerlvr_card.json"
# Facts that decide what a number means. Others are only told.
BINDING = ("generation_prompt", "judge_prompt", "verdicts", "extraction", "verifier")


@dataclass(frozen=True)
class PolicyCard:
    """Facts of one policy. Prompts are the text of the templates, and ``thinking_open`` is the chat template's tag."""

    stage: str
    generation_prompt: str
    judge_prompt: str
    verdicts: tuple[str, ...]
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
    """The card of a stage's policy."""
    manifest = read_manifest(stage.run_dir)
    return PolicyCard(
        stage=stage.kind,
        **asked_and_graded(stage.config),
        thinking_open=bool(stage.reward_kwargs.get("thinking_open", False)),
        max_response_tokens=stage.config.generate.max_response_tokens,
        temperature=stage.config.temperature,
        parent_hash=manifest.parent.hash,
        length_term=manifest.length_term,
    )


def asked_and_graded(config: Config) -> dict[str, Any]:
    """The binding facts of a configuration."""
    return {
        "generation_prompt": load_template(Path(config.data.prompt), GENERATE_FIELDS),
        "judge_prompt": load_template(Path(config.judge.data.prompt), JUDGE_FIELDS),
        "verdicts": tuple(config.judge.data.verdicts),
        "extraction": config.reward.extraction.value,
        "verifier": config.reward.verifier,
    }


def write_card(policy: Path, card: PolicyCard) -> None:
    """Write the card beside the policy's weights."""
    write_atomically(policy / CARD, card.to_json())


def read_card(policy: Path) -> PolicyCard | None:
    """The card of a model directory, None for a model from elsewhere.

    Raises:
        InputError: the card is damaged.
    """
    path = policy / CARD
    if not path.is_file():
        return None
    with reading("not a policy's card", "restore the file, or remove it to do without", file=path):
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {item.name: values[item.name] for item in fields(PolicyCard)}
        return PolicyCard(**{**known, "verdicts": tuple(known["verdicts"])})


def check_against(card: PolicyCard, wanted: dict[str, Any], policy: Path, override: bool) -> list[str]:
    """Lines that tell how ``wanted`` differs from the card; names are the card's.

    Raises:
        InputError: a binding fact differs, without ``override``.
    """
    facts = asdict(card)
    different = {name: value for name, value in wanted.items() if value != facts[name]}
    lines = [f"{name}: {_short(facts[name])} on the card, {_short(value)} here" for name, value in different.items()]
    binding = [line for name, line in zip(different, lines, strict=True) if name in BINDING]
    if binding and not override:
        raise InputError("; ".join(binding), "use the card's, or give --override-card", file=policy / CARD)
    return lines


def _short(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def curl_command(card: PolicyCard, model: str, problem: str = "What is 3 + 4 * 2?") -> str:
    """A command that asks a served policy with the prompt that the policy was trained on."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": render(card.generation_prompt, {"problem": problem})}],
        "max_tokens": card.max_response_tokens,
        "temperature": 0,
    }
    words = ["curl", "-s", "http://localhost:8000/v1/chat/completions", "-H", "Content-Type: application/json"]
    return shlex.join([*words, "-d", json.dumps(body, ensure_ascii=False)])
