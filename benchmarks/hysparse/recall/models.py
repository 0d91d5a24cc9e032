"""Three models on one stream of recall tasks: HySparse, full attention throughout, and the window hybrid."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.hysparse.kernels.case import DEVICE
from benchmarks.hysparse.recall.task import Batch, Task, batch
from judgerlvr.hysparse.model.attention import Projections
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.model.presets import preset

MODELS = ("HySparse", "full attention", "window hybrid")
AHEAD = 2  # steps that the CPU may queue before it waits for the GPU
TRIED_WIDTH = 256  # width at which embeddings and norms learn well at the learning rate of the matrices
# scale of symbols. Small against the output of heads, so that a found symbol outweighs the symbol that was asked for
EMBEDDING = 0.3
FEED_FORWARD = 0.1  # of its usual scale


@dataclass(frozen=True)
class SymbolLookup:
    """The common start of all three models: attention that looks symbols up, after "mimetic initialization"
    (2305.09828).

    Keys read the first symbol of a token. Queries and values read the second symbol. Heads add the found value as a
    second symbol, which is the next symbol to look up or the answer. ``matching`` is the cosine of the queries' weights
    with the keys' weights for the same symbol.

    ``copying`` is the scale of the first layer's output, and of the later layers' output together. All later layers
    follow the second link, and a query for the first link must not drown in their output. With both at 0 the start is
    random. Queries and keys then learn nothing until values are copied, and values learn nothing until queries match.
    Accuracy stays at chance for long. All layers begin with one key and one value projection, because HySparse's sparse
    layers read the full layer's.
    """

    matching: float = 0.7
    copying: float = 1.0

    @torch.no_grad()
    def apply(self, model: HySparseForCausalLM) -> None:
        width, first = model.config.hidden_size, model.model.layers[0].self_attn
        model.model.embed_tokens.weight.normal_(0, EMBEDDING)
        # Gives logits of order 1 from a head that is tied to embeddings of this scale.
        model.model.norm.weight.fill_((width / 2) ** -0.5 / EMBEDDING)
        later = self.copying / (len(model.model.layers) - 1)
        for layer in model.model.layers:
            layer.mlp.down_proj.weight.mul_(FEED_FORWARD)
            if self.matching:
                self.match(layer.self_attn, first.k_proj.weight)
            if self.copying:
                scale = self.copying if layer.self_attn is first else later
                self.copy(layer.self_attn, first.v_proj.weight, scale)

    def match(self, layer: Projections, keys: Tensor) -> None:
        """Keys of first symbols, and queries that resemble the keys of their second symbols."""
        half = keys.shape[1] // 2
        layer.k_proj.weight.copy_(keys)
        layer.k_proj.weight[:, half:] = 0
        layer.q_proj.weight.mul_((1 - self.matching**2) ** 0.5)
        layer.q_proj.weight[:, half:] += self.matching * a_query_head(layer, keys[:, :half])

    def copy(self, layer: Projections, values: Tensor, scale: float) -> None:
        """Values of second symbols, and an output that turns the values back into second symbols, times ``scale``."""
        half = values.shape[1] // 2
        layer.v_proj.weight.copy_(values)
        layer.v_proj.weight[:, :half] = 0
        layer.o_proj.weight.copy_(scale * a_query_head(layer, layer.v_proj.weight).T)


def a_query_head(layer: Projections, weight: Tensor) -> Tensor:
    """Rows of key or value heads, repeated for the query heads that share them."""
    heads = weight.unflatten(0, (-1, layer.row.key_dim))
    return heads.repeat_interleave(layer.q_proj.out_features // len(weight), 0).flatten(0, 1)


def twin(name: str, **sizes: Any) -> HySparseConfig:
    """Configuration of one of MODELS. The full-attention twin's full layers have gates and sinks like sparse layers."""
    changes: dict[str, dict[str, Any]] = {
        "HySparse": {},
        "full attention": {"sparse_ratio": 0, "gate_full": True, "sinks_full": True},
        "window hybrid": {"branches": "window"},
    }
    width = float(sizes.get("hidden_size", 768))
    # At the preset's base of 10,000, few dimensions of a head still match contents 8k tokens apart. Here most do.
    start: dict[str, Any] = {
        "closing_full": False,
        "initializer_range": width**-0.5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e9},
        "qk_norm": True,
    }
    return preset("small", **{**start, **sizes, **changes[name]})


@dataclass
class Learner:
    """One model, its optimiser, its cost, and the error that stopped it, if any."""

    name: str
    model: HySparseForCausalLM
    symbols: int
    optimiser: torch.optim.Optimizer
    seconds: float = 0.0
    error: str = ""
    curve: list[dict[str, float]] = field(default_factory=list)
    pending: list[tuple[Any, Any]] = field(default_factory=list)

    @classmethod
    def new(cls, name: str, config: HySparseConfig, symbols: int, start: SymbolLookup) -> Learner:
        torch.manual_seed(0)
        model = HySparseForCausalLM(config)
        start.apply(model)
        model.to(DEVICE)
        options = {"lr": 0.0, "betas": (0.9, 0.95), "weight_decay": 0.0, "fused": DEVICE == "cuda"}
        return cls(name, model, symbols, torch.optim.AdamW(groups(model), **options))

    def step(self, rows: Batch, lr: float) -> None:
        """One update, queued. The call waits only for the step before the last, so that the GPU is never idle."""
        begin = mark()
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group["scale"]
        self.gradients(rows)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.pending.append((begin, mark()))
        self.settle(AHEAD)

    def settle(self, left: int = 0) -> None:
        """Add the times of all but the last ``left`` steps."""
        while len(self.pending) > left:
            begin, end = self.pending.pop(0)
            if DEVICE == "cuda":
                end.synchronize()
            self.seconds += begin.elapsed_time(end) / 1e3 if DEVICE == "cuda" else end - begin

    def gradients(self, rows: Batch) -> None:
        self.optimiser.zero_grad()
        functional.cross_entropy(answers(self, rows), rows.wanted).backward()


def mark() -> Any:
    """A moment: an event in the GPU's queue, or the clock."""
    if DEVICE != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def groups(model: HySparseForCausalLM) -> list[dict[str, Any]]:
    """Two groups: matrices, whose learning rate falls with the width, and embeddings, norms and sinks, whose rate does
    not.
    """
    embedding = model.model.embed_tokens.weight
    matrices = [p for p in model.parameters() if p.ndim == 2 and p is not embedding]
    others = [p for p in model.parameters() if p.ndim != 2 or p is embedding]
    scale = model.config.hidden_size / TRIED_WIDTH
    return [{"params": matrices, "scale": 1.0}, {"params": others, "scale": scale}]


def answers(learner: Learner, rows: Batch) -> Tensor:
    """Float32 logits over the symbols at each query."""
    model = learner.model
    with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
        hidden = model.model(inputs_embeds=embedded(model, rows), use_cache=False).last_hidden_state
        return symbol_logits(learner, hidden, rows).float()


def symbol_logits(learner: Learner, hidden: Tensor, rows: Batch) -> Tensor:
    """Similarity of each query's second half with the symbols."""
    half = hidden.shape[-1] // 2
    asked = hidden.flatten(0, 1)[rows.where][:, half:]
    return functional.linear(asked, learner.model.model.embed_tokens.weight[: learner.symbols, :half])


def embedded(model: HySparseForCausalLM, rows: Batch) -> Tensor:
    """A token's two symbols side by side, each in half the width, from the first halves of the table's rows."""
    table: nn.Embedding = model.model.embed_tokens
    half = table.embedding_dim // 2
    return torch.cat([table(rows.first)[..., :half], table(rows.second)[..., :half]], -1)


@torch.no_grad()
def evaluate(learner: Learner, heldout: list[Batch]) -> dict[str, float]:
    """Mean loss in nats, and accuracy of far and near queries by links to follow ("far 2" and so on). "covered" is the
    share of (far query, KV head) whose selection holds the block of the chain, if the model selects.
    """
    losses, right, kinds, covered = [], [], [], []
    model = learner.model
    for rows in heldout:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
            output = model.model(inputs_embeds=embedded(model, rows), use_cache=False, output_blocks=True)
            logits = symbol_logits(learner, output.last_hidden_state, rows).float()
        losses.append(functional.cross_entropy(logits, rows.wanted, reduction="none"))
        right.append(logits.argmax(-1) == rows.wanted)
        kinds.append(2 * rows.links + rows.near)
        if output.used_blocks is not None:
            chosen = output.used_blocks[-1].transpose(1, 2).flatten(0, 1)[rows.where]
            covered.append((chosen == rows.needle[:, None, None]).any(-1)[~rows.near])
    kind, hit, loss = (torch.cat(parts) for parts in (kinds, right, losses))
    result = {"loss": loss.mean().item()}
    for code in kind.unique().tolist():
        result[f"{'near' if code % 2 else 'far'} {code // 2}"] = hit[kind == code].float().mean().item()
    if covered:
        result["covered"] = torch.cat(covered).float().mean().item()
    return result


def stream(task: Task, rows: int, seed: int) -> Generator[Batch, None, None]:
    """Endless batches, equal for equal seeds, drawn on a thread of their own while the GPU works."""
    ready: queue.Queue[Batch] = queue.Queue(maxsize=4)
    ended = threading.Event()

    def draw() -> None:
        source = np.random.default_rng(seed)
        while not ended.is_set():
            drawn = batch(task, rows, source)
            drawn = drawn.pinned() if DEVICE == "cuda" else drawn
            while not ended.is_set():
                try:
                    ready.put(drawn, timeout=0.1)
                    break
                except queue.Full:
                    continue

    threading.Thread(target=draw, daemon=True).start()
    try:
        while True:
            yield ready.get().to(DEVICE)
    finally:
        ended.set()


def heldout_rows(task: Task, rows: int, batches: int) -> list[Batch]:
    """Batches that no stream with another seed holds."""
    source = np.random.default_rng(2**31)
    return [batch(task, rows, source).to(DEVICE) for _ in range(batches)]
