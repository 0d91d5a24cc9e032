"""Conversations as files have them: chat turns, ShareGPT turns, content in parts, a chat stored as JSON text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.importing.faults import RowFault
from data.importing.golds import parse_text
from rewards.wording import counted

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
}


@dataclass(frozen=True)
class Conversation:
    """The last user turn, the turns before the last user turn, and the assistant's reply ("" where there is none)."""

    text: str
    earlier: list[dict[str, str]]
    reply: str


def is_conversation(value: Any) -> bool:
    """Whether a value is a list of turns, perhaps as JSON text."""
    if isinstance(value, str):
        # Parsing takes time, so only a text that looks like a list of objects is parsed.
        start = value.lstrip()[:2]
        value = parse_text(value) if start.startswith("[") and "{" in value[:40] else None
    return isinstance(value, list) and bool(value) and all(_is_turn(turn) for turn in value)


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, Mapping) and ("role" in turn or "from" in turn)


def read_conversation(value: Any, field: str) -> Conversation:
    """Split a list of turns at the last user turn.

    Raises:
        RowFault: there is no user turn, a role is unknown, or a part is no text.
    """
    turns = [_turn(turn, field) for turn in (parse_text(value) if isinstance(value, str) else value)]
    users = [index for index, turn in enumerate(turns) if turn["role"] == "user"]
    if not users:
        raise RowFault("a conversation without a user turn", "give the problem as a user turn", field)
    last, after = users[-1], turns[users[-1] + 1 :]
    # Of several replies nobody can say which reply holds the answer.
    if len(after) > 1:
        raise RowFault(f"{counted(len(after), 'turn')} after the last user turn", "keep one reply at most", field)
    return Conversation(turns[last]["content"], turns[:last], after[0]["content"] if after else "")


def _turn(turn: Mapping[str, Any], field: str) -> dict[str, str]:
    role = str(turn.get("role") or turn.get("from") or "")
    if role not in ROLES:
        problem = f"a turn of role {role!r}"
        raise RowFault(problem, f"keep turns of {', '.join(dict.fromkeys(ROLES.values()))}", field)
    if turn.get("tool_calls"):
        raise RowFault("a turn with tool calls", "keep turns of text alone", field)
    content = turn.get("content", turn.get("value"))
    return {"role": ROLES[role], "content": _content(content, field)}


def _content(content: Any, field: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        raise RowFault(f"a turn whose content is {type(content).__name__}", "write text", field)
    texts = []
    for part in content:
        if not isinstance(part, Mapping) or part.get("type", "text") != "text":
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise RowFault(f"a turn with a part of kind {kind!r}", "keep text parts alone", field)
        texts.append(str(part.get("text") or ""))
    return "".join(texts)
