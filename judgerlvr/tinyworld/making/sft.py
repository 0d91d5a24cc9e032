"""Supervised pretraining of a base model on the world's traces, which is the only training outside the RL engine."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from data.prompts import render
from judgerlvr.tinyworld.making.model import has_experts
from judgerlvr.tinyworld.prompts import GENERATE, JUDGE
from judgerlvr.tinyworld.tokenizer import chat
from judgerlvr.tinyworld.trace_parsing import read_response
from judgerlvr.tinyworld.traces import Tracer

IGNORED = -100  # the label that cross_entropy leaves out
Batch = tuple[torch.Tensor, torch.Tensor]  # token ids and labels, both [rows, length]
Log = Callable[[str], None]


@dataclass(frozen=True)
class SFTConfig:
    """``steps`` batches of ``rows`` examples, ended early after ``seconds``. ``judge_share`` of the examples is
    judging.
    """

    steps: int = 1750
    rows: int = 192
    chunks: int = 2  # number of parts of similar length in a batch
    lr: float = 1e-3
    warmup: int = 50
    final_lr: float = 0.02  # of lr
    weight_decay: float = 0.01
    judge_share: float = 0.5
    max_response: int = 160  # tokens with the end token. Longer traces are drawn again
    router_loss: float = 0.001  # coefficient of the load-balancing loss (mixture-of-experts models)
    seconds: float = math.inf
    seed: int = 0
    workers: int = 0
    half: bool | None = None  # bf16 products on a GPU. None means yes, unless the model is a HySparse model


class Examples(IterableDataset[list[Batch]]):
    """Endless batches, each a list of parts sorted by length. Every worker draws its own traces."""

    def __init__(self, tracer: Tracer, tokenizer: PreTrainedTokenizerFast, config: SFTConfig) -> None:
        self.tracer, self.tokenizer, self.config = tracer, tokenizer, config

    def __iter__(self) -> Iterator[list[Batch]]:
        worker = get_worker_info()
        draw = random.Random(self.config.seed * 1000 + (worker.id if worker else 0))
        while True:
            examples = sorted(self.examples(draw, self.config.rows), key=lambda pair: len(pair[0]))
            size = math.ceil(len(examples) / self.config.chunks)
            parts = [examples[at : at + size] for at in range(0, len(examples), size)]
            yield [collate(part, self.tokenizer.pad_token_id) for part in parts]

    def examples(self, draw: random.Random, rows: int) -> list[tuple[list[int], int]]:
        """``rows`` times the token ids of prompt and response, and the length of the prompt."""
        made: list[tuple[list[int], int]] = []
        while len(made) < rows:
            prompts, responses = zip(*(self.texts(draw) for _ in range(rows - len(made))), strict=True)
            starts = self.tokenizer([chat(prompt, self.tokenizer) for prompt in prompts]).input_ids
            ends = self.tokenizer([response + self.tokenizer.eos_token for response in responses]).input_ids
            pairs = zip(starts, ends, strict=True)
            made += [(start + end, len(start)) for start, end in pairs if len(end) <= self.config.max_response]
        return made

    def texts(self, draw: random.Random) -> tuple[str, str]:
        """A prompt and its response. Only training problems, in either mode."""
        chain = self.tracer.world.sample_split(draw, held_out=False)
        solved = self.tracer.solve(draw, chain)
        if draw.random() >= self.config.judge_share:
            return render(GENERATE, {"problem": chain.text}), solved
        shown = read_response(solved)
        prompt = render(JUDGE, {"problem": chain.text, "response": shown.solution_text})
        return prompt, self.tracer.judge(draw, chain, shown.solution)


def collate(examples: list[tuple[list[int], int]], pad: int) -> Batch:
    """Right-padded ids, and labels that are set on response tokens only."""
    longest = max(len(ids) for ids, _ in examples)
    ids = torch.full((len(examples), longest), pad)
    labels = torch.full((len(examples), longest), IGNORED)
    for row, (tokens, prompt_length) in enumerate(examples):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        labels[row, prompt_length : len(tokens)] = torch.tensor(tokens[prompt_length:])
    return ids, labels


def response_loss(model: PreTrainedModel, batch: Batch, router_loss: float) -> tuple[torch.Tensor, int]:
    """Summed cross entropy of the response tokens plus their share of the router's loss, and their number."""
    ids, labels = (part.to(model.device, non_blocking=True) for part in batch)
    routed = {"output_router_logits": True} if router_loss and has_experts(model.config) else {}
    output = model(input_ids=ids, use_cache=False, **routed)
    logits, targets = output.logits[:, :-1].float(), labels[:, 1:]
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    count = int((batch[1][:, 1:] != IGNORED).sum())
    if routed:
        loss = loss + router_loss * count * output.aux_loss
    return loss, count


def learning_rate(config: SFTConfig, step: int, elapsed: float) -> float:
    """Linear warm-up, then cosine decay over steps or seconds, whichever is further along."""
    done = min(1.0, max(step / config.steps, elapsed / config.seconds))
    decay = config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * done))
    return config.lr * decay * min(1.0, (step + 1) / config.warmup)


def train(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tracer: Tracer, config: SFTConfig, log: Log = print
) -> list[float]:
    """Train in place, in the precision of ``autocast``. Returns each step's mean loss a response token."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=config.weight_decay)
    batches = iter(DataLoader(Examples(tracer, tokenizer, config), batch_size=None, num_workers=config.workers))
    losses: list[float] = []
    began = time.monotonic()
    model.train()
    for step in range(config.steps):
        elapsed = time.monotonic() - began
        if elapsed >= config.seconds:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step, elapsed)
        losses.append(update(model, optimizer, next(batches), config))
        if step % 100 == 0:
            log(f"sft step {step} loss {losses[-1]:.4f} {elapsed:.0f} s")
    model.eval()
    return losses


def autocast(model: PreTrainedModel, half: bool | None) -> torch.autocast:
    """bf16 on a GPU, fp32 on a CPU. Unless told, HySparse stays in fp32, because rounded logits would choose other
    blocks than fp32 in RL.
    """
    wanted = model.config.model_type != "hysparse" if half is None else half
    return torch.autocast(model.device.type, torch.bfloat16, enabled=wanted and model.device.type == "cuda")


def update(model: PreTrainedModel, optimizer: torch.optim.Optimizer, parts: list[Batch], config: SFTConfig) -> float:
    """One optimiser step over all parts of a batch. Returns the mean loss a response token."""
    total = sum(int((labels[:, 1:] != IGNORED).sum()) for _, labels in parts)
    mean = 0.0
    for part in parts:
        with autocast(model, config.half):
            loss, _ = response_loss(model, part, config.router_loss)
        (loss / total).backward()
        mean += float(loss.detach()) / total
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return mean
