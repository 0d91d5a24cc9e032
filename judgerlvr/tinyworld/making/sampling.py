"""Plain sampling with transformers, for checking a base model without the RL engine."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from judgerlvr.tinyworld.tokenizer import chat


@dataclass(frozen=True)
class TinySample:
    """One response. ``length`` counts tokens with the end token. ``ended`` is False if the cap cut the response."""

    text: str
    length: int
    ended: bool


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: list[str],
    max_response: int,
    temperature: float = 1.0,
    rows: int = 512,
) -> list[TinySample]:
    """One response a prompt, drawn from the whole distribution (no top-k, no top-p). Temperature 0 is greedy."""
    drawn = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    how = drawn if temperature else {"do_sample": False}
    samples: list[TinySample] = []
    for at in range(0, len(prompts), rows):
        texts = [chat(prompt, tokenizer) for prompt in prompts[at : at + rows]]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left").to(model.device)
        ids = model.generate(
            input_ids=inputs.input_ids,
            attention_mask=inputs.attention_mask,
            max_new_tokens=max_response,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **how,
        )
        samples += [read_sample(row, tokenizer) for row in ids[:, inputs.input_ids.shape[1] :].tolist()]
    return samples


def read_sample(ids: list[int], tokenizer: PreTrainedTokenizerFast) -> TinySample:
    ended = tokenizer.eos_token_id in ids
    length = ids.index(tokenizer.eos_token_id) + 1 if ended else len(ids)
    return TinySample(tokenizer.decode(ids[:length], skip_special_tokens=True), length, ended)
