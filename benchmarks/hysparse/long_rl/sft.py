"""Supervised training of one policy on long recall, up to a wanted accuracy or the end of its seconds.

    python -m benchmarks.hysparse.long_rl.sft NAME OUT [options of run]

`run.py` starts one process for each policy. Rows grow by lessons. A row is a prompt and the responses to several
chains, one after the other, because a single response teaches little for a long prompt. The last lesson has the prompts
of RL. Training ends there once the expected accuracy of sampling on held-out problems reaches the target. The weights
then go back part of the way to the look before (`landing.py`), so that both policies have the target's accuracy.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.hysparse.kernels.case import DEVICE
from benchmarks.hysparse.long_rl.landing import LOOKS, State, land, measure, snapshot
from benchmarks.hysparse.long_rl.options import Lesson, lessons_of, parse_arguments, rl_task, words_of
from benchmarks.hysparse.long_rl.policy import accuracy, chances_of, heldout_hidden, make_policy, save_policy
from benchmarks.hysparse.long_rl.task import HELDOUT, Example, Task, draw_example, examples, response
from benchmarks.hysparse.recall.models import groups
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM

SHORT_WARMUP = 20  # steps
# Share of right words at which a lesson ends.
LEARNT = 0.98
# Problems of a look at the accuracy during training, and looks in the seconds of training at most.
LOOK, MOST_LOOKS = 32, 25


def row_tokens(task: Task, example: Example, order: np.ndarray) -> tuple[list[int], list[int]]:
    """Ids of the prompt and of turns on the chains in ``order``, and the places of the words before right words.

    The prompt asks for the first chain in ``order``. Each later turn is a question and a response.
    """
    ids, places = example.prompt.tolist()[:-1], []
    for number in order:
        chain = example.chains[number]
        tokens = response(task, chain)
        places += range(len(ids), len(ids) + len(tokens))
        ids += [task.words.said(chain[0]), *tokens]
    return ids, places


def batch(task: Task, rows: int, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Ids [rows, tokens] of one length, and places [rows, words] whose next ids are to be learnt."""
    length = int(draw.integers(task.low, task.high + 1))
    made = [
        row_tokens(task, draw_example(task, draw, length), draw.permutation(len(task.lengths))) for _ in range(rows)
    ]
    return torch.tensor([ids for ids, _ in made]), torch.tensor([places for _, places in made])


@dataclass
class Trainer:
    """One policy in training, with a log."""

    model: HySparseForCausalLM
    options: argparse.Namespace
    begun: float
    steps: int = 0
    tokens: int = 0
    right: float = 0.0  # running share of right words
    below: State | None = None  # weights of the last look below the target, or of the last lesson's start
    reached: bool = False
    log: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = {"lr": 0.0, "betas": (0.9, 0.95), "weight_decay": 0.0, "fused": DEVICE == "cuda"}
        self.optimiser = torch.optim.AdamW(groups(self.model), **settings)

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.begun

    def warm_up(self, lesson: Lesson) -> None:
        """Compile kernels with gradients that no update uses."""
        ids, places = batch(lesson.task, lesson.rows, np.random.default_rng(HELDOUT))
        self.loss(ids.to(DEVICE), places.to(DEVICE))[0].backward()
        self.optimiser.zero_grad()
        self.say(lesson.task)

    def step(self, ids: Tensor, places: Tensor) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.sft_lr * group["scale"] * min(1.0, (self.steps + 1) / SHORT_WARMUP)
        self.optimiser.zero_grad()
        loss, right = self.loss(ids.to(DEVICE), places.to(DEVICE))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.right += 0.2 * (float(right) - self.right)
        self.steps, self.tokens = self.steps + 1, self.tokens + ids.numel()

    def loss(self, ids: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss in nats of the words to be learnt, and the share of right words."""
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
            hidden = self.model.model(input_ids=ids, use_cache=False).last_hidden_state[rows, places]
            logits = functional.linear(hidden, self.model.model.embed_tokens.weight).flatten(0, 1).float()
        wanted = ids[rows, places + 1].flatten()
        return functional.cross_entropy(logits, wanted), (logits.argmax(-1) == wanted).float().mean()

    def train(self, lesson: Lesson, until: float, seed: int, looks: list[Example] | None = None) -> None:
        """Steps of one lesson until ``until`` seconds or until learnt, by held-out ``looks`` if given, or by words."""
        draw, due, self.right = np.random.default_rng(seed), self.elapsed, 0.0
        if looks is not None:
            self.below = snapshot(self.model)
        while self.elapsed < until:
            self.step(*batch(lesson.task, lesson.rows, draw))
            done = self.right >= LEARNT and looks is None
            if looks is not None and self.elapsed >= due and self.right >= 0.8:
                done = self.look(lesson.task, looks)
                due = self.elapsed + self.options.sft_seconds / MOST_LOOKS
            if done:
                break
        self.say(lesson.task)

    def look(self, task: Task, looks: list[Example]) -> bool:
        """Whether the expected accuracy of sampling has reached the target."""
        now = accuracy(*chances_of(self.model, *heldout_hidden(self.model, task, looks)))
        self.say(task, sampled=now.sampled, greedy=now.greedy)
        self.reached = now.sampled >= self.options.target
        if not self.reached:
            self.below = snapshot(self.model)
        return self.reached

    def settle(self, task: Task) -> float:
        """Go back to the target's accuracy. Returns the share of the way from the look before, 1 without a landing."""
        if not self.reached or self.below is None:
            return 1.0
        return land(self.model, task, self.below, self.options.target, LOOK, self.options.landing)

    def say(self, task: Task, **values: float) -> None:
        self.log.append(
            {
                "seconds": self.elapsed,
                "tokens a row": task.high,
                "step": self.steps,
                "right words": self.right,
                **values,
            }
        )
        print(" ".join(f"{name} {value:.4g}" for name, value in self.log[-1].items()), flush=True)


def teach(trainer: Trainer, lessons: list[Lesson], looks: list[Example]) -> None:
    """All lessons, after a warm-up of the shortest and the longest rows. Seconds left by a lesson go to the last."""
    for lesson in (lessons[0], lessons[-1]):
        trainer.warm_up(lesson)
    left = trainer.options.sft_seconds - trainer.elapsed
    for number, lesson in enumerate(lessons[:-1]):
        trainer.train(lesson, trainer.elapsed + lesson.share * left, number)
    trainer.train(lessons[-1], trainer.options.sft_seconds, len(lessons), looks)


def save(trainer: Trainer, folder: Path, error: str) -> None:
    """The policy, the accuracy of the saved policy on fresh problems, and the log."""
    task = rl_task(trainer.options)
    share = trainer.settle(task)
    save_policy(trainer.model, words_of(trainer.options), folder / "policy")
    chances, hits = measure(folder / "policy", task, trainer.options.fresh)
    record = {
        "parameters": trainer.model.num_parameters(),
        "layers": " ".join(kind[0] for kind in trainer.model.config.kinds),
        "steps": trainer.steps,
        "tokens": trainer.tokens,
        "seconds": trainer.elapsed,
        "share": share,
        "accuracy": asdict(accuracy(chances, hits)),
        "chances": chances.tolist(),
        "error": error,
        "log": trainer.log,
    }
    (folder / "sft.json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"{trainer.steps} steps, {trainer.elapsed:.0f} s, {record['accuracy']}", flush=True)


def main() -> int:
    name, options = sys.argv[1], parse_arguments(__doc__ or "", sys.argv[2:])
    begun, folder = time.perf_counter(), options.out / "sft" / name
    folder.mkdir(parents=True, exist_ok=True)
    task = rl_task(options)
    trainer = Trainer(make_policy(name, task.words, 2 * task.high, options.tiny), options, begun)
    print(f"{name}: {trainer.model.num_parameters() / 1e6:.1f} M parameters, {trainer.model.config.kinds}", flush=True)
    lessons, error = lessons_of(options), ""
    looks = list(islice(examples(task, LOOKS), LOOK))
    try:
        teach(trainer, lessons, looks)
    except torch.OutOfMemoryError as problem:
        error = f"{type(problem).__name__}: {' '.join(str(problem).split())[:300]}"
        print(error, flush=True)
        torch.cuda.empty_cache()
    save(trainer, folder, error)
    return 0


if __name__ == "__main__":
    torch.set_float32_matmul_precision("high")
    sys.exit(main())
