"""Prompts in the policy's own tokens: how long they are, and whether their data stay data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from data.identity import shown_text
from data.labelling import Refuse
from data.prompts import as_chat, render
from rewards.errors import InputError
from rewards.extraction.thinking import prompt_opens_thinking
from rewards.types import Problem
from rewards.wording import counted

CountTokens = Callable[[list[dict[str, str]]], int]
Chat = list[dict[str, str]]
TOO_LONG, SPECIAL = "prompt too long", "special token in the text"
# Tokens that a tokenizer may add at the seams between template and text.
SEAMS = 8
# The share of prompts that must be usable. The figure is our choice.
LEAST_LEFT = 0.5


def encode_prompt(tokenizer: Any, prompt: Chat) -> list[int]:
    """Token ids of a chat prompt, ready for the answer to follow."""
    ids: list[int] = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
    return ids


def token_counter(tokenizer: Any) -> CountTokens:
    """A function from a chat prompt to its length in tokens once the model's template is applied."""
    return lambda chat: len(encode_prompt(tokenizer, chat))


def template_opens_thinking(tokenizer: Any) -> bool:
    """Whether the model's chat template itself opens the thinking part, as Qwen3-style templates may."""
    prompt = tokenizer.apply_chat_template(as_chat("1+1?"), add_generation_prompt=True, tokenize=False)
    return prompt_opens_thinking(prompt)


class PromptFilter:
    """Prompts that must not be trained on: too long, or with a special token inside the data.

    A tokenizer turns the text of a special token into that token, wherever the text stands.
    A solution that holds an end-of-turn text would open a turn of the assistant in the judge prompt.
    """

    def __init__(self, tokenizer: Any, longest: int) -> None:
        """``longest`` is the limit in tokens."""
        self.tokenizer, self.longest = tokenizer, longest
        texts = sorted(special_texts(tokenizer), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, texts))) if texts else None
        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._normalizer = getattr(backend, "normalizer", None)
        self._template = len(encode_prompt(tokenizer, [{"role": "user", "content": "x"}])) + SEAMS

    def refuse(self, chat: Chat, data: Iterable[str]) -> str | None:
        """Why a prompt cannot be used, or None. ``data`` are the texts that the prompt shows."""
        if any(map(self.holds_special, data)):
            return SPECIAL
        return TOO_LONG if self._too_long(chat) else None

    def holds_special(self, text: str) -> bool:
        """Whether the tokenizer finds a special token in a text, after its own normalisation too."""
        if self._special is None:
            return False
        if self._special.search(text):
            return True
        if self._normalizer is None or text.isascii():
            return False
        return self._special.search(self._normalizer.normalize_str(text)) is not None

    def _too_long(self, chat: Chat) -> bool:
        """Every token covers at least one byte, so that a short text needs no tokenizer."""
        content = "".join(turn["content"] for turn in chat)
        size = len(content) if content.isascii() else len(content.encode("utf-8", "surrogatepass"))
        plain = self._normalizer is None or content.isascii()
        if plain and len(chat) == 1 and self._template + size <= self.longest:
            return False
        return len(encode_prompt(self.tokenizer, chat)) > self.longest


def refuse_judge_prompts(prompts: PromptFilter, template: str) -> Refuse:
    """A function from a problem and a shown response to why their judge prompt cannot be used, or None."""

    def refuse(problem: Problem, shown: str) -> str | None:
        text = shown_text(problem)
        return prompts.refuse(as_chat(render(template, {"problem": text, "response": shown})), (text, shown))

    return refuse


def special_texts(tokenizer: Any) -> set[str]:
    """Texts of all tokens that the tokenizer declares special."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {str(token) for token in tokenizer.all_special_tokens} | {
        token.content for token in added.values() if token.special
    }


def drop_unusable(
    rows: Sequence[dict[str, Any]], prompts: PromptFilter, data: Callable[[dict[str, Any]], Iterable[str]]
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """(rows whose prompt can be used, number left out by reason). ``data`` gives the texts that a row shows.

    verl would cut long prompts on the left without a word.

    Raises:
        InputError: fewer than half of the prompts can be used.
    """
    kept, dropped = [], Counter[str]()
    for row in rows:
        reason = prompts.refuse(row["prompt"], data(row))
        if reason:
            dropped[reason] += 1
        else:
            kept.append(row)
    check_left(len(rows), dropped, prompts.longest)
    return kept, dropped


def check_left(count: int, dropped: Counter[str], longest: int) -> None:
    """Refuse ``count`` prompts of which most are left out: the limit or the data are not what was meant.

    Raises:
        InputError: fewer than half are left.
    """
    left = count - dropped.total()
    if left >= LEAST_LEFT * count:
        return
    reasons = ", ".join(f"{reason}: {number}" for reason, number in sorted(dropped.items()))
    can = f"only {left}" if left else "none"
    problem = f"{can} of {counted(count, 'prompt')} can be used ({reasons}, the limit is {counted(longest, 'token')})"
    remedy = "raise max_prompt_tokens, or leave out these problems"
    raise InputError(problem, remedy, field="max_prompt_tokens")


def check_room(tokenizer: Any, answers: Iterable[str], limit: int, field: str) -> None:
    """Refuse a limit of ``limit`` tokens under which no response can hold a box with one of the ``answers``.

    Raises:
        InputError: naming the shortest box and the ``field`` of the limit.
    """
    boxes = [f"\\boxed{{{answer}}}" for answer in answers]
    least, shown = min((len(tokenizer.encode(box, add_special_tokens=False)), box) for box in boxes)
    if least > limit:
        problem = f"{counted(limit, 'token')} a response, and {shown} alone has {least}"
        raise InputError(problem, "set it to the length of a whole solution", field=field)
