"""Where the thinking part ends and the solution part begins."""

from __future__ import annotations

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"


def solution_part(completion: str, *, thinking_open: bool = False) -> str | None:
    """Text after the last closing think tag, or None while the thinking part is still open.

    Args:
        completion: what the policy sampled, without the prompt.
        thinking_open: the prompt already ended with the opening tag (as Qwen3-style templates do), so that a
            completion without any tag has never left the thinking part.
    """
    _, closed, rest = completion.rpartition(THINK_CLOSE)
    still_open = THINK_OPEN in rest or (thinking_open and not closed)
    return None if still_open else rest


def prompt_opens_thinking(prompt: str) -> bool:
    """Whether a rendered prompt leaves the thinking part open."""
    return prompt.rfind(THINK_OPEN) > prompt.rfind(THINK_CLOSE)
