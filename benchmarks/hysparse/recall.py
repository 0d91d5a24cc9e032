"""Three models on one stream of recall tasks: HySparse, full attention throughout, and the window hybrid."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from hysparse.case import DEVICE
from hysparse.recall_task import IGNORED, Batch, Task, batch
from torch import Tensor
from torch.nn import functional

from judgerlvr.hysparse.config import HySparseConfig
from judgerlvr.hysparse.modeling import HySparseForCausalLM
from judgerlvr.hysparse.presets import preset

MODELS = ("HySparse", "full attention", "window hybrid")


def twin(name: str, **sizes: Any) -> HySparseConfig:
    """Configuration of one of MODELS; full layers of the full-attention twin have gate and sinks as sparse ones."""
    changes: dict[str, Any] = {
        "HySparse": {},
        "full attention": {"sparse_ratio": 0, "gate_full": True, "sinks_full": True},
        "window hybrid": {"branches": "window"},
    }[name]
    # the models' own 0.02 is for wider ones: learning starts several times later with it
    start = {"closing_full": False, "initializer_range": float(sizes.get("hidden_size", 768)) ** -0.5}
    return preset("small", **{**start, **sizes, **changes})


@dataclass
class Learner:
    """One model, its optimiser, what it cost, and what stopped it if anything did."""

    name: str
    model: HySparseForCausalLM
    optimiser: torch.optim.Optimizer
    seconds: float = 0.0
    error: str = ""
    curve: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def new(cls, name: str, config: HySparseConfig) -> Learner:
        torch.manual_seed(0)
        model = HySparseForCausalLM(config).to(DEVICE)
        options = {"lr": 0.0, "betas": (0.9, 0.95), "weight_decay": 0.01, "fused": DEVICE == "cuda"}
        return cls(name, model, torch.optim.AdamW(model.parameters(), **options))

    def step(self, rows: Batch, lr: float) -> None:
        begun = time.perf_counter()
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.gradients(rows)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - begun

    def gradients(self, rows: Batch) -> None:
        self.optimiser.zero_grad()
        logits, wanted = answers(self.model, rows)
        functional.cross_entropy(logits, wanted).backward()


def answers(model: HySparseForCausalLM, rows: Batch) -> tuple[Tensor, Tensor]:
    """Float32 logits at the queries, and the symbols they want."""
    asked = rows.labels != IGNORED
    with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
        hidden = model.model(inputs_embeds=embedded(model, rows), use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[asked])
    return logits.float(), rows.labels[asked]


def embedded(model: HySparseForCausalLM, rows: Batch) -> Tensor:
    """The sum of a token's two symbols, the second turned by half the width, so that the two can be told apart."""
    first, second = (model.model.embed_tokens(symbols) for symbols in (rows.first, rows.second))
    return first + second.roll(second.shape[-1] // 2, -1)


@torch.no_grad()
def evaluate(model: HySparseForCausalLM, heldout: list[Batch]) -> dict[str, float]:
    """Mean loss in nats, and accuracy of far and near queries by links to follow: "far 2" and so on."""
    losses, right, kinds = [], [], []
    for rows in heldout:
        logits, wanted = answers(model, rows)
        asked = rows.labels != IGNORED
        losses.append(functional.cross_entropy(logits, wanted, reduction="none"))
        right.append(logits.argmax(-1) == wanted)
        kinds.append(2 * rows.links[asked] + rows.near[asked])
    kind, hit, loss = (torch.cat(parts) for parts in (kinds, right, losses))
    result = {"loss": loss.mean().item()}
    for code in kind.unique().tolist():
        name = f"{'near' if code % 2 else 'far'} {code // 2}"
        result[name] = hit[kind == code].float().mean().item()
        result[f"loss {name}"] = loss[kind == code].mean().item()
    return result


def stream(task: Task, rows: int, seed: int) -> Iterator[Batch]:
    """Endless batches, the same for a seed."""
    draw = np.random.default_rng(seed)
    while True:
        yield batch(task, rows, draw).to(DEVICE)


def heldout_rows(task: Task, rows: int, batches: int) -> list[Batch]:
    """Batches that no stream with another seed holds."""
    source = stream(task, rows, seed=2**31)
    return [next(source) for _ in range(batches)]
