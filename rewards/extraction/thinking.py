"""Where the thinking part ends and the solution part begins, for the formats of the usual model families."""

from __future__ import annotations

import re
from dataclasses import dataclass

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"


@dataclass(frozen=True)
class ThinkingFormat:
    """Tags of one family. ``close`` ends a thinking part wherever it stands; ``open`` begins one."""

    name: str
    open: str
    close: str


# gpt-oss names channels: everything before the final channel is thinking. Its second spelling is what remains when a
# tokenizer drops the special tokens.
FORMATS = (
    ThinkingFormat("think", THINK_OPEN, THINK_CLOSE),  # Qwen3, DeepSeek-R1
    ThinkingFormat("thinking", "<thinking>", "</thinking>"),
    ThinkingFormat("bracketed", "[THINK]", "[/THINK]"),  # Magistral
    ThinkingFormat("channel", "<|channel|>", "<|channel|>final<|message|>"),  # gpt-oss
    ThinkingFormat("seed", "<seed:think>", "</seed:think>"),
)
_FIRST_SIGNS = {tag[0] for form in FORMATS for tag in (form.open, form.close)}
# No word goes on with a letter after "analysis".
_BARE_CHANNELS = re.compile(r"\A\s*analysis(?=[A-Za-z:\s\"'$\\])")
_BARE_FINAL, _BARE_ANALYSIS = "assistantfinal", "assistantanalysis"
# What follows the end of the policy's turn is not the policy's answer.
_TURN_END = re.compile(r"<\|(?:im_end|eot_id|endoftext|end_of_text|return)\|>")
_END_MARKS = re.compile(r"(?:<\|(?:return|end|im_end|endoftext|eot_id|end_of_text)\|>|</s>|\s)+\Z")


def solution_part(completion: str, *, thinking_open: bool = False) -> str | None:
    """Text after the last closing tag of any format, or None while a thinking part is still open.

    Each closing tag closes one opening tag. The text ends with the turn of the policy.

    Args:
        completion: what the policy sampled, without the prompt.
        thinking_open: the prompt already ended with an opening tag (as Qwen3-style templates do), so that a
            completion without any tag has never left the thinking part.
    """
    completion = _first_turn(completion)
    rest, closed = _after_last_close(completion)
    if _may_hold_tags(rest) and any(form.open in rest for form in FORMATS):
        return None
    if _BARE_CHANNELS.match(completion) and (not closed or _BARE_ANALYSIS in rest):
        return None
    return None if thinking_open and not closed else rest


def _first_turn(completion: str) -> str:
    end = _TURN_END.search(completion) if "<|" in completion else None
    return completion[: end.start()] if end else completion


def _after_last_close(completion: str) -> tuple[str, bool]:
    formats = FORMATS if _may_hold_tags(completion) else ()
    ends = [
        (place + len(form.close), form.open if _is_nested(completion, form) else "")
        for form in formats
        if (place := completion.rfind(form.close)) >= 0
    ]
    if _BARE_CHANNELS.match(completion) and (place := completion.rfind(_BARE_FINAL)) >= 0:
        ends.append((place + len(_BARE_FINAL), ""))
    if not ends:
        return completion, False
    end, still_open = max(ends)
    return still_open + completion[end:], True


def _is_nested(completion: str, form: ThinkingFormat) -> bool:
    """Whether an opening tag is left without its closing tag. A closing tag alone closes a tag of the prompt."""
    if completion.count(form.open) < 2 or form.open in form.close:
        return False
    depth = 0
    for tag in re.findall(f"{re.escape(form.open)}|{re.escape(form.close)}", completion):
        depth = depth + 1 if tag == form.open else max(0, depth - 1)
    return depth > 0


def _may_hold_tags(text: str) -> bool:
    """Whether a text has a sign with which a tag begins. Looking for one sign is faster than for ten tags."""
    return any(sign in text for sign in _FIRST_SIGNS)


def without_end_marks(solution: str) -> str:
    """``solution`` without end-of-text markers and white space at its end."""
    return _END_MARKS.sub("", solution)


def prompt_opens_thinking(prompt: str) -> bool:
    """Whether a rendered prompt leaves a thinking part open."""
    return any(prompt.rfind(form.open) > prompt.rfind(form.close) for form in FORMATS)
