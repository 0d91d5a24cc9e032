"""Prompt lengths in the policy's own tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rewards.errors import InputError

CountTokens = Callable[[list[dict[str, str]]], int]


def encode_prompt(tokenizer: Any, prompt: list[dict[str, str]]) -> list[int]:
    """Token ids of a chat prompt, ready for the answer to follow."""
    ids: list[int] = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
    return ids


def token_counter(tokenizer: Any) -> CountTokens:
    """A function from a chat prompt to its length in tokens once the model's template is applied."""
    return lambda chat: len(encode_prompt(tokenizer, chat))


def drop_long(
    rows: Sequence[dict[str, Any]], longest: int, count_tokens: CountTokens
) -> tuple[list[dict[str, Any]], int]:
    """(rows whose prompt fits, number left out): verl would cut such prompts on the left without a word.

    Raises:
        InputError: no prompt fits.
    """
    kept = [row for row in rows if count_tokens(row["prompt"]) <= longest]
    if rows and not kept:
        problem = f"all {len(rows)} prompts are longer than {longest} tokens (prompt too long)"
        raise InputError(problem, "raise max_prompt_tokens", field="max_prompt_tokens")
    return kept, len(rows) - len(kept)
