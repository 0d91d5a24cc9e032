"""Samples as an engine is asked for them (Request) and as an engine answers (Finished): plain data of few bytes."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgerlvr.models.configuration import model_context, over_context
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.models.prompt_tokens import encode_prompt
from judgerlvr.sampling.decoding import Decoding, sample_seed
from judgerlvr.sampling.samples import OVERSIZE, Item, Sample
from rewards.extraction.thinking import prompt_opens_thinking


@dataclass(frozen=True, slots=True)
class Request:
    """One sample to draw. ``limit`` counts response tokens. ``name`` is unique within an engine.

    ``banned`` are ids of tokens that the response must not hold. The response ends behind a token of ``pauses``.
    """

    name: str
    ids: Sequence[int]
    limit: int
    temperature: float
    top_p: float
    seed: int | None
    thinking_open: bool
    banned: Sequence[int] = ()
    pauses: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer to the request of the same name. Fields as in ``Sample``. ``ids`` only where the request pauses."""

    name: str
    response: str
    tokens: int
    thinking_tokens: int
    unclosed: bool
    finish_reason: str
    stop_reason: int | str | None
    mean_logprob: float
    ids: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class _Prompt:
    ids: array[int]
    text: str
    thinking_open: bool


class Prompts:
    """Prompts of one model's items in tokens, encoded once. Memory: 4 bytes a token beside the text."""

    def __init__(self, model_dir: Path, items: Sequence[Item], engine: Mapping[str, Any] | None = None) -> None:
        """``engine`` holds arguments of ``vllm.LLM``. Its ``max_model_len`` limits prompt and response together."""
        tokenizer = load_tokenizer(model_dir)
        self.items = items
        self._prompts = []
        for item in items:
            ids = encode_prompt(tokenizer, item.prompt)
            text = tokenizer.decode(ids)
            self._prompts.append(_Prompt(array("i", ids), text, prompt_opens_thinking(text)))
        self.longest = max((len(prompt.ids) for prompt in self._prompts), default=0)
        self.model_context = model_context(model_dir, engine)

    def text(self, place: int) -> str:
        """The rendered prompt of the item at a place, special tokens and all."""
        return self._prompts[place].text

    @property
    def opens_thinking(self) -> bool:
        """Whether a prompt leaves a thinking part open, as prompts of thinking models do."""
        return any(prompt.thinking_open for prompt in self._prompts)

    def needed_context(self, max_tokens: int) -> int:
        """Tokens that an engine must hold: the longest prompt and a whole response, within the model's context."""
        wanted = self.longest + max_tokens
        return min(wanted, self.model_context or wanted)

    def shortfall(self, max_tokens: int) -> tuple[str, int] | None:
        """(why some response cannot have ``max_tokens``, the limit that each response can have), None where all can.

        A prompt that fills the context alone is left out: its sample is empty, and marked.
        """
        context = self.model_context
        fitting = [len(prompt.ids) for prompt in self._prompts if context is None or len(prompt.ids) < context]
        longest = max(fitting, default=self.longest)
        problem = over_context(longest, max_tokens, context)
        return (problem, max(0, (context or 0) - longest)) if problem else None

    def room(self, place: int, decoding: Decoding) -> int:
        """Tokens that a response to the item at a place may have. Below 1 the prompt is too long."""
        context = self.needed_context(decoding.max_tokens)
        return min(decoding.max_tokens, context - len(self._prompts[place].ids))

    def request(self, name: str, place: int, index: int, decoding: Decoding) -> Request | None:
        """The request for a sample of the item at a place, or None where the prompt leaves no room for a response."""
        prompt, room = self._prompts[place], self.room(place, decoding)
        if room < 1:
            return None
        seed = None if decoding.greedy else sample_seed(decoding.seed, self.items[place].id, index)
        return Request(name, prompt.ids, room, decoding.temperature, decoding.top_p, seed, prompt.thinking_open)

    def sample(self, place: int, index: int, decoding: Decoding, finished: Finished | None) -> Sample:
        """The sample of a finished request. Without one the sample is empty and marked as of a prompt too long."""
        item, prompt = self.items[place], self._prompts[place].text
        seed = sample_seed(decoding.seed, item.id, index)
        if finished is None:
            return Sample(item, index, "", prompt, 0, 0, OVERSIZE, None, seed)
        return Sample(
            item=item,
            index=index,
            response=finished.response,
            prompt_text=prompt,
            tokens=finished.tokens,
            thinking_tokens=finished.thinking_tokens,
            finish_reason=finished.finish_reason,
            mean_logprob=finished.mean_logprob,
            seed=seed,
            unclosed=finished.unclosed,
            stop_reason=finished.stop_reason,
        )
