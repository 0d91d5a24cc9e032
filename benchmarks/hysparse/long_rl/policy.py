"""The two policies: shape, common start, expected accuracy, and the saved directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.hysparse.kernels.case import DEVICE
from benchmarks.hysparse.long_rl.task import Example, Task, response
from benchmarks.hysparse.long_rl.words import Words, make_tokenizer
from benchmarks.hysparse.recall.models import EMBEDDING, SymbolLookup, twin
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.tinyworld.making.checkpoint import save_checkpoint

LATER = 0.05  # of the start's scale, for the attention of all layers but the first
# Names of folders, and the names of the twins in the recall benchmark.
POLICIES = {"hysparse": "HySparse", "full": "full attention"}
SMALL: dict[str, Any] = {"num_hidden_layers": 13, "sparse_ratio": 3, "closing_full": True}
TINY: dict[str, Any] = {
    "num_hidden_layers": 3,
    "sparse_ratio": 1,
    "closing_full": True,
    "num_attention_heads": 4,
    "hidden_size": 128,
    "head_dim": 32,
    "intermediate_size": 256,
    "select_block": 16,
    "select_tokens": 64,
    "sliding_window": 32,
}


def make_policy(name: str, words: Words, longest: int, tiny: bool) -> HySparseForCausalLM:
    """A model with the recall benchmark's start, which looks symbols up, on the words of this task."""
    sizes = TINY if tiny else SMALL
    changes = {"sparse_ratio": 0} if name == "full" else {}
    config = twin(POLICIES[name], **{**sizes, **changes}, vocab_size=words.size, max_position_embeddings=longest)
    config.architectures = ["HySparseForCausalLM"]
    torch.manual_seed(0)
    model = HySparseForCausalLM(config)
    SymbolLookup(matching=0.9, copying=3.0).apply(model)
    follow_one_link(model)
    compose_embeddings(model, words)
    return model.to(DEVICE)


@torch.no_grad()
def follow_one_link(model: HySparseForCausalLM) -> None:
    """Leave the look-up to the first layer. The chain goes on, so each later look-up would find one link too many."""
    for layer in list(model.model.layers)[1:]:
        layer.self_attn.o_proj.weight.mul_(LATER)


@torch.no_grad()
def compose_embeddings(model: HySparseForCausalLM, words: Words) -> None:
    """A pair's embedding is the first and the second part, each in half the width.

    A word that a response says has a common first half, which no key reads as a symbol. The head is tied. A symbol that
    a look-up added to the second half therefore raises the word that says the symbol.
    """
    table = model.model.embed_tokens.weight
    half = table.shape[1] // 2
    parts = torch.randn(words.parts, half) * EMBEDDING
    said = table[words.said(0) : words.said(words.parts)]
    said[:, :half] = torch.randn(half) * EMBEDDING
    said[:, half:] = parts
    pairs = table[words.first_pair : words.first_filler].view(words.symbols, words.parts, -1)
    pairs[..., :half] = parts[: words.symbols, None]
    pairs[..., half:] = parts


@dataclass(frozen=True)
class Accuracy:
    """Of the responses to held-out problems. ``sampled`` is the mean probability of the right response at temperature
    1, ``greedy`` the share of right responses at temperature 0, each with its standard error.
    """

    problems: int
    sampled: float
    sampled_error: float
    greedy: float
    greedy_error: float


@torch.no_grad()
def heldout_hidden(model: HySparseForCausalLM, task: Task, heldout: list[Example]) -> tuple[Tensor, Tensor]:
    """Final hidden states before each word of the right responses, [problems, links, width], and the right tokens."""
    hidden, right = [], []
    for example in heldout:
        tokens = response(task, example.chains[0])
        ids = torch.tensor([[*example.prompt.tolist(), *tokens[:-1]]], device=DEVICE)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
            states = model.model(input_ids=ids, use_cache=False).last_hidden_state
        hidden.append(states[0, -len(tokens) :].float())
        right.append(torch.tensor(tokens, device=DEVICE))
    return torch.stack(hidden), torch.stack(right)


@torch.no_grad()
def chances_of(model: HySparseForCausalLM, hidden: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Probability of each problem's one right response at temperature 1, and whether greedy decoding gives it."""
    head = model.model.embed_tokens.weight.float()
    chance, hits = [], []
    for states, tokens in zip(hidden, right, strict=True):
        logits = functional.linear(states, head)
        chance.append((-functional.cross_entropy(logits, tokens, reduction="none").sum()).exp())
        hits.append((logits.argmax(-1) == tokens).all().float())
    return torch.stack(chance), torch.stack(hits)


def accuracy(chances: Tensor, hits: Tensor) -> Accuracy:
    """Means and standard errors of what ``chances_of`` gives."""
    errors = [float(part.std(correction=0)) / len(part) ** 0.5 for part in (chances, hits)]
    return Accuracy(len(chances), float(chances.mean()), errors[0], float(hits.mean()), errors[1])


def save_policy(model: HySparseForCausalLM, words: Words, out: Path) -> None:
    """A directory that the product's commands read. Each boxed answer ends a response, as the end token does."""
    tokenizer = make_tokenizer(words)
    save_checkpoint(model, tokenizer, out)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *words.boxes]
    model.generation_config.save_pretrained(out)
