"""Sampling from all runs at once: one prefill, then a step a token over a key-value cache, as CUDA graphs on a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from benchmarks.lab.model import (
    Cache,
    Shape,
    Weights,
    cast,
    compute_type,
    decode_logits,
    next_token_logits,
    rotary_table,
)
from benchmarks.lab.worlds.base import TOKENS, World

BUCKET = 32  # cache places by which the visible part grows
LOOK = 8  # steps between two looks at whether every row has ended
NEVER = -1e9


class Style(IntEnum):
    """Sampling of a row: free, without rechecks and second passes, or one pass with a recheck after each line."""

    NATURAL = 0
    NONE = 1
    EVERY = 2


@dataclass(frozen=True)
class Samples:
    """Responses [R, B, T], log-probabilities at temperature 1, mask of the policy's own tokens, lengths [R, B]."""

    tokens: Tensor
    logprobs: Tensor
    own: Tensor
    lengths: Tensor
    ended: Tensor
    entropy: Tensor  # [R], mean over own tokens, of the distribution sampled from


class Sampler:
    """Buffers and graphs for R runs of B rows. ``judging`` rows get no answer from the world."""

    def __init__(self, shape: Shape, world: World, runs: int, rows: int, judging: bool, device: torch.device) -> None:
        self.shape, self.world, self.runs, self.rows, self.judging, self.device = (
            shape,
            world,
            runs,
            rows,
            judging,
            device,
        )
        self.prompt_length = world.judge_prompt_length if judging else world.prompt_length
        self.limit = world.judge_limit if judging else world.response_limit
        self.window = world.window
        self.places = BUCKET * -(-(self.prompt_length + self.limit) // BUCKET)
        self.dtype = compute_type(device)
        self.table = rotary_table(self.places, shape.head_width, device, self.dtype)
        place = (runs * rows, shape.key_heads, self.places, shape.head_width)
        empty = lambda: torch.zeros(place, dtype=self.dtype, device=device)  # noqa: E731
        self.cache: Cache = [(empty(), empty()) for _ in range(shape.layers)]
        self.logits = torch.zeros(runs, rows, shape.vocabulary, device=device)
        self.tokens = torch.zeros(runs, rows, self.window + self.limit, dtype=torch.long, device=device)
        self.logprobs = torch.zeros(runs, rows, self.limit, device=device)
        self.entropies = torch.zeros(runs, rows, self.limit, device=device)
        self.noise = torch.zeros(self.limit, 2, runs, rows, device=device)
        self.done = torch.zeros(runs, rows, dtype=torch.bool, device=device)
        self.style = torch.zeros(runs, rows, dtype=torch.long, device=device)
        self.time = torch.zeros(1, dtype=torch.long, device=device)
        self.temperature = torch.ones(1, device=device)
        self.banned = torch.zeros(len(Style), shape.vocabulary, device=device)
        self.banned[Style.NONE, [TOKENS.recheck, TOKENS.again]] = NEVER
        self.banned[Style.EVERY, TOKENS.again] = NEVER
        self.weights: Weights = {}
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self.pool: tuple[int, int] | None = None

    @torch.no_grad()
    def run(
        self,
        weights: Weights,
        prompts: Tensor,
        draw: torch.Generator,
        temperature: float = 1.0,
        style: Tensor | None = None,
    ) -> Samples:
        """Responses to prompts [R, n, P], B / n samples of each. Temperature 0 is greedy."""
        self._load(weights)
        self._reset(draw, temperature, style)
        self._prefill(prompts)
        written = self.limit
        for step in range(self.limit):
            self._step_at(step)
            if step % LOOK == LOOK - 1 and bool(self.done.all()):
                written = step + 1
                break
        return self._samples(written)

    def _load(self, weights: Weights) -> None:
        fresh = cast({name: value.detach() for name, value in weights.items()}, self.dtype)
        if not self.weights:
            self.weights = {name: value.clone() for name, value in fresh.items()}
        for name, value in fresh.items():
            self.weights[name].copy_(value)

    def _reset(self, draw: torch.Generator, temperature: float, style: Tensor | None) -> None:
        self.noise.copy_(torch.rand(self.noise.shape, generator=draw, device=self.device))
        self.temperature.fill_(max(temperature, 1e-4))
        for buffer in (self.tokens, self.logprobs, self.entropies, self.done, self.style, self.time):
            buffer.zero_()
        if style is not None:
            self.style.copy_(style)

    def _prefill(self, prompts: Tensor) -> None:
        runs, n, length = prompts.shape
        share = self.rows // n
        size = (runs * n, self.shape.key_heads, length, self.shape.head_width)
        fresh = lambda: torch.empty(size, dtype=self.dtype, device=self.device)  # noqa: E731
        cache: Cache = [(fresh(), fresh()) for _ in range(self.shape.layers)]
        logits = next_token_logits(self.shape, self.weights, prompts, self.table, length, cache)[:, :, -1]
        for mine, theirs in zip(self.cache, cache, strict=True):
            for target, source in zip(mine, theirs, strict=True):
                target.view(runs * n, share, *target.shape[1:])[:, :, :, :length] = source[:, None]
        self.logits.copy_(logits.repeat_interleave(share, 1))

    def _step_at(self, step: int) -> None:
        visible = BUCKET * -(-(self.prompt_length + step + 1) // BUCKET)
        if self.device.type != "cuda":
            self._step(visible)
            return
        if visible not in self.graphs:
            self.graphs[visible] = self._capture(visible)
        self.graphs[visible].replay()

    def _capture(self, visible: int) -> torch.cuda.CUDAGraph:
        state = (self.logits, self.tokens, self.logprobs, self.entropies, self.done, self.time)
        kept = [buffer.clone() for buffer in state]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                self._step(visible)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            self._step(visible)
        self.pool = graph.pool()
        for buffer, before in zip(state, kept, strict=True):
            buffer.copy_(before)
        return graph

    def _step(self, visible: int) -> None:
        """Choose a token for every row and compute the logits of the next one. All state stays in place."""
        noise = self.noise.index_select(0, self.time.clamp_max(self.limit - 1))[0]
        window = self._window()
        logprobs = torch.log_softmax(self.logits, -1)
        tempered = self.logits / self.temperature + self.banned[self.style]
        chances = torch.softmax(tempered, -1)
        edges = chances.cumsum(-1)
        token = (edges < (noise[0] * edges[..., -1])[..., None]).sum(-1).clamp_max(self.shape.vocabulary - 1)
        if not self.judging:
            token = torch.where((self.style == Style.EVERY) & self.world.recheck_due(window), TOKENS.recheck, token)
            reply = self.world.reply(window, noise[1])
            token = torch.where(reply >= 0, reply, token)
        token = torch.where(self.done, TOKENS.pad, token)
        at = self.time.clamp_max(self.limit - 1)
        self.tokens.index_copy_(2, at + self.window, token[..., None])
        self.logprobs.index_copy_(2, at, logprobs.gather(2, token[..., None]))
        self.entropies.index_copy_(2, at, -(chances * chances.clamp_min(1e-12).log()).sum(-1, keepdim=True))
        self.done |= token == TOKENS.end
        place = (self.time + self.prompt_length).clamp_max(self.places - 1)
        self.logits.copy_(decode_logits(self.shape, self.weights, token, place, self.cache, visible, self.table))
        self.time += 1

    def _window(self) -> Tensor:
        places = self.time.clamp_max(self.limit) + torch.arange(self.window, device=self.device)
        return self.tokens.index_select(2, places)

    def _samples(self, written: int) -> Samples:
        tokens = self.tokens[..., self.window : self.window + written].clone()
        lengths = (tokens != TOKENS.pad).sum(-1)
        own = torch.arange(written, device=self.device) < lengths[..., None]
        if not self.judging:
            own &= ~self.world.by_world(tokens)
        entropy = (self.entropies[..., :written] * own).sum((1, 2)) / own.sum((1, 2)).clamp_min(1)
        return Samples(tokens, self.logprobs[..., :written].clone(), own, lengths, self.done.clone(), entropy)
