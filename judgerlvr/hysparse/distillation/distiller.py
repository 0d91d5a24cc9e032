"""transformers' Trainer with a loss towards another model. Sharding, bf16 and checkpoints are the Trainer's own."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from judgerlvr.hysparse.conversion.divergence import check_loss, divergence, heldout_loss
from judgerlvr.hysparse.conversion.texts import Packed, on
from judgerlvr.hysparse.distillation.processes import agree
from judgerlvr.hysparse.model.modeling import HySparseDecoderLayer, HySparseForCausalLM
from rewards.errors import InputError

Row = dict[str, Tensor]
Curve = list[dict[str, float]]
KEPT_CHECKPOINTS = 2  # A kill while one is written leaves the other.


class Rows(Dataset[Row]):
    """Packed rows as the Trainer's batches name them. ``labels`` are shifted by one, as transformers has them."""

    def __init__(self, texts: Packed) -> None:
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts.ids)

    def __getitem__(self, row: int) -> Row:
        return {
            "input_ids": self.texts.ids[row],
            "position_ids": self.texts.positions[row],
            "labels": self.texts.labels[row].roll(1),
        }


def packed(inputs: Row) -> Packed:
    """The rows of a batch of the Trainer."""
    return Packed(inputs["input_ids"], inputs["position_ids"], inputs["labels"].roll(-1, dims=1))


class OneDevice(TrainingArguments):
    """A process trains on one device, also where it sees more."""

    @property
    def n_gpu(self) -> int:
        """GPUs of this process."""
        return min(1, super().n_gpu)

    @property
    def device(self) -> torch.device:
        """The device without a number on a CPU. Of several processes, ``torch.load`` would refuse ``cpu:0``."""
        found = super().device
        return torch.device("cpu") if found.type == "cpu" else found


def trainer_arguments(options: argparse.Namespace, folder: Path, device: str, halves: bool) -> TrainingArguments:
    """Settings of the Trainer. Several GPUs shard weights and optimiser states layer by layer (FSDP2).

    Raises InputError for rows that do not divide among the processes and their passes.
    """
    processes = int(os.environ.get("WORLD_SIZE", 1))
    at_once, passes = share_rows(options, processes)
    return OneDevice(
        output_dir=str(folder),
        max_steps=options.steps,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=passes,
        learning_rate=options.lr,
        lr_scheduler_type="linear",
        warmup_steps=options.warmup,
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=options.seed,
        bf16=halves,
        use_cpu=device == "cpu",
        fsdp=device == "cuda" and processes > 1,
        fsdp_config={"version": 2, "transformer_layer_cls_to_wrap": [HySparseDecoderLayer.__name__]},
        eval_strategy="steps",
        eval_steps=options.every,
        eval_on_start=True,
        save_strategy="steps",
        save_steps=options.save_every,
        save_total_limit=KEPT_CHECKPOINTS,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        gradient_checkpointing=options.recompute,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        ddp_find_unused_parameters=False,
    )


def check_schedule(options: argparse.Namespace) -> None:
    """Raise InputError for a warmup that the steps would not end, because no step would have the rate ``--lr``."""
    if options.warmup > options.steps:
        problem = f"--warmup {options.warmup} is above --steps {options.steps}, so the rate never comes to --lr"
        raise InputError(problem, "give more steps, or a shorter warmup")


def share_rows(options: argparse.Namespace, processes: int) -> tuple[int, int]:
    """Rows of a pass, and passes of a step. Raises InputError as ``trainer_arguments``."""
    at_once = options.rows_at_once or max(1, options.rows // processes)
    passes, left = divmod(options.rows, at_once * processes)
    if left or not passes:
        problem = f"{options.rows} rows a step are not a multiple of {at_once} rows in {processes} processes"
        raise InputError(problem, "change --rows or --rows-at-once")
    return at_once, passes


class NoLastCheckpoint(TrainerCallback):
    """The result is stored behind the last step, so no checkpoint is due there unless ``save_steps`` asks for one.

    A checkpoint of a large model takes minutes, and a kill loses ``save_steps`` steps at most in any case.
    """

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Called behind transformers' own callback, which asks for a last checkpoint."""
        if state.global_step >= state.max_steps and state.global_step % state.save_steps:
            control.should_save = False


@dataclass(frozen=True)
class Goal:
    """The source on its device, and its loss in nats a token on the held-out rows."""

    source: PreTrainedModel
    heldout: Packed
    loss: float


def goal_of(source: PreTrainedModel, heldout: Packed, arguments: TrainingArguments, directory: Path) -> Goal:
    """Move the source to the device and measure it. Raises InputError as ``check_loss``."""
    model, rows = source.to(arguments.device), on(heldout, arguments.device)
    loss = heldout_loss(model, rows, arguments.per_device_train_batch_size)
    check_loss(loss, "held-out loss of the source", directory)
    return Goal(model, rows, loss)


class Distiller(Trainer):
    """Trains ``student`` towards a goal. ``report`` gets the curve after each evaluation.

    Training ends with an InputError as ``check_loss`` at an evaluation, before the curve and a checkpoint are written.
    """

    def __init__(
        self,
        student: HySparseForCausalLM,
        goal: Goal,
        texts: Packed,
        arguments: TrainingArguments,
        hidden: float,
        report: Callable[[Curve], None],
    ) -> None:
        rows = Rows(texts)
        super().__init__(
            model=student,
            args=arguments,
            train_dataset=rows,
            eval_dataset=Rows(goal.heldout),
            data_collator=default_collate,
        )
        self.remove_callback(PrinterCallback)
        self.add_callback(NoLastCheckpoint())
        self.goal, self.hidden, self.report, self.student_config = goal, hidden, report, student.config

    def get_batch_samples(self, *given: Any) -> Any:
        """The passes of a step and their learnt tokens, which are counted here. Checkpoints hold the count."""
        passes, tokens = super().get_batch_samples(*given)
        self.state.num_input_tokens_seen += int(tokens)
        return passes, tokens

    def _run_epoch(self, *given: Any, **named: Any) -> None:
        """The Trainer would take one step more from a checkpoint of the last step."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*given, **named)

    def compute_loss(
        self, model: nn.Module, inputs: Row, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Divergence a learnt token of the whole step. The Trainer averages gradients over processes."""
        loss = divergence(model, self.goal.source, packed(inputs), self.hidden)
        return loss * self.args.world_size / num_items_in_batch

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Every process reads all held-out rows, so that one token has one weight."""
        self.model_wrapped.eval()
        loss = heldout_loss(self.model_wrapped, self.goal.heldout, self.args.per_device_train_batch_size)
        self.model_wrapped.train()
        step = self.state.global_step
        remedy = "begin in a new folder with a smaller --lr" if step else "give another source, student or start"
        place = Path(str(self.args.output_dir)).parent
        agree(lambda: check_loss(loss, f"held-out loss at step {step}", place, remedy))
        point = {"step": step, "tokens": self.state.num_input_tokens_seen, "heldout": loss}
        point |= {"source": self.goal.loss, "ratio": loss / self.goal.loss}
        self.log(dict(point))
        self.control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, point)
        if self.is_world_process_zero():
            print(*(f"{name} {value:.6g}" for name, value in point.items()), flush=True)
            self.report(curve_of(self.state.log_history, list(point)))
        return point


def curve_of(history: Sequence[dict[str, float]], names: Sequence[str]) -> Curve:
    """Evaluations in the Trainer's log. A resumed run measures the step of its checkpoint again."""
    by_step = {line["step"]: {name: line[name] for name in names} for line in history if "heldout" in line}
    return list(by_step.values())
