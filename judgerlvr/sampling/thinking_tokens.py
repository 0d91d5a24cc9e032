"""Where the thinking part ends, counted in the policy's own tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rewards.extraction.thinking import THINK_CLOSE, THINK_OPEN


def count_thinking_tokens(
    ids: Sequence[int], decode: Callable[[Sequence[int]], str], opened_in_prompt: bool = False
) -> int:
    """Tokens up to and including the last closing think tag.

    A trace that was opened, in the prompt or in the output, and never closed is thinking altogether; an output
    without any tag is solution altogether. ``decode`` turns ids into text; the ids are not encoded anew, since
    that can give other tokens.
    """
    text = decode(ids)
    end = text.rfind(THINK_CLOSE)
    if end < 0:
        return len(ids) if opened_in_prompt or THINK_OPEN in text else 0
    return _tokens_covering(ids, decode, end + len(THINK_CLOSE))


def _tokens_covering(ids: Sequence[int], decode: Callable[[Sequence[int]], str], characters: int) -> int:
    """Fewest leading tokens whose text has at least ``characters`` characters (bisection)."""
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high) // 2
        if len(decode(ids[:middle])) >= characters:
            high = middle
        else:
            low = middle + 1
    return low
