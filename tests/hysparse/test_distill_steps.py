"""The steps of a distillation by hand: the scale of the gradient, its clipping, and the rate of each step.

Adam hides a constant factor of the gradient, and so does clipping. The gradient is therefore looked at before both.
"""

import copy
import math
from argparse import Namespace

import pytest
import torch
from accelerate import Accelerator
from transformers import Qwen3Config, Qwen3ForCausalLM, TrainerCallback

from judgerlvr.hysparse.conversion.conversion import convert
from judgerlvr.hysparse.conversion.divergence import divergence
from judgerlvr.hysparse.conversion.texts import IGNORED, Text, pack
from judgerlvr.hysparse.distillation.distiller import Distiller, Rows, goal_of, packed, trainer_arguments
from tests.helpers.hysparse_models import random_ids

SIZES = {"hidden_size": 32, "intermediate_size": 64, "head_dim": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
SIZES |= {"vocab_size": 512, "num_hidden_layers": 4, "initializer_range": 0.2}
BITE = {"sparse_ratio": 2, "select_block": 4, "select_tokens": 8, "sliding_window": 6}
ROWS, STEPS, RATE = 4, 6, 3e-4
OPTIONS = {"steps": STEPS, "every": STEPS, "save_every": STEPS + 1, "rows": ROWS, "lr": RATE, "seed": 0}


class Steps(TrainerCallback):
    """Rate of each step, norm of each gradient before and after clipping, and the first step's rows."""

    def __init__(self, patch):
        self.rates, self.norms, self.clipped, self.first = [], [], [], []
        clip, loss = Accelerator.clip_grad_norm_, Distiller.compute_loss

        def clipping(accelerator, parameters, *given):
            parameters = list(parameters)
            self.norms.append(float(clip(accelerator, parameters, *given)))
            self.clipped.append(norm_of(parameters))
            return self.norms[-1]

        def watching(trainer, model, inputs, *given, **named):
            self.first += [] if trainer.state.global_step else [packed(inputs)]
            return loss(trainer, model, inputs, *given, **named)

        patch.setattr(Accelerator, "clip_grad_norm_", clipping)
        patch.setattr(Distiller, "compute_loss", watching)

    def on_optimizer_step(self, args, state, control, optimizer, **_):
        self.rates.append(optimizer.param_groups[0]["lr"])


def norm_of(parameters):
    return math.sqrt(sum(float(p.grad.double().square().sum()) for p in parameters if p.grad is not None))


@pytest.fixture(scope="module")
def source():
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**SIZES)).eval()


def texts(count):
    """Rows of unequal length, so that the mean over rows is not the mean over tokens."""
    lengths = [12 + 5 * (row % 4) for row in range(count)]
    return pack([Text(random_ids(1, length, seed).tolist()[0], 3) for seed, length in enumerate(lengths)], 27)


@pytest.fixture
def distil(source, tmp_path, monkeypatch):
    """Trains a conversion and gives the steps."""

    def run(**options):
        steps, chosen = Steps(monkeypatch), OPTIONS | {"warmup": 0, "rows_at_once": None, "recompute": False} | options
        arguments = trainer_arguments(Namespace(**chosen), tmp_path / "checkpoints", "cpu", halves=False)
        goal = goal_of(source, texts(2), arguments, tmp_path)
        trainer = Distiller(convert(source, **BITE), goal, texts(ROWS * STEPS), arguments, 0.0, lambda curve: None)
        trainer.add_callback(steps)
        trainer.train()
        return steps

    return run


def gradient_norm(source, batches):
    """Norm of the gradient of the mean divergence a learnt token, without a Trainer."""
    student = convert(source, **BITE)
    tokens = sum(int((batch.labels != IGNORED).sum()) for batch in batches)
    for batch in batches:
        (divergence(student, source, batch) / tokens).backward()
    return norm_of(student.parameters())


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("at_once", [ROWS, 1])
def test_a_step_takes_the_gradient_of_the_mean_over_its_tokens(at_once, recompute, distil, source):
    steps = distil(rows_at_once=at_once, recompute=recompute)
    assert len(steps.first) == ROWS // at_once
    assert steps.norms[0] == pytest.approx(gradient_norm(source, steps.first), rel=1e-4)


def test_a_gradient_is_clipped_to_norm_1(distil):
    steps = distil()
    assert len(steps.norms) == STEPS and min(steps.norms) < 0.95 and max(steps.norms) > 1.2
    assert steps.clipped == pytest.approx([min(1.0, norm) for norm in steps.norms], rel=1e-4)


@pytest.mark.parametrize("warmup", [0, 2])
def test_the_rate_rises_over_the_warmup_and_falls_to_0_in_equal_parts(warmup, distil):
    """The last step still has a part. The rate of 0 belongs to the step that would follow."""
    rise = [step / warmup for step in range(warmup)]
    fall = [(STEPS - step) / (STEPS - warmup) for step in range(warmup, STEPS)]
    assert distil(warmup=warmup).rates == pytest.approx([RATE * part for part in rise + fall])


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_mean_over_processes_is_the_gradient_of_the_whole_step(processes, source):
    """Each process has its rows and the tokens of all. The mean of gradients is taken here, as by the Trainer."""
    rows, student = Rows(texts(ROWS)), convert(source, **BITE)
    batch = {name: torch.stack([rows[number][name] for number in range(ROWS)]) for name in rows[0]}
    trainer = Namespace(goal=Namespace(source=source), hidden=0.0, args=Namespace(world_size=processes))
    tokens = (batch["labels"] != IGNORED).sum()
    for process in range(processes):
        part = {name: tensor[process::processes] for name, tensor in batch.items()}
        loss = Distiller.compute_loss(trainer, student, part, num_items_in_batch=tokens)
        (loss / processes).backward()
    assert norm_of(student.parameters()) == pytest.approx(gradient_norm(source, [packed(batch)]), rel=1e-4)


def test_the_source_gets_no_gradient(source):
    """Both models are trainable, as loaded."""
    theirs = copy.deepcopy(source)
    loss = divergence(convert(source, **BITE), theirs, texts(2), hidden=1.0)
    loss.backward()
    assert [name for name, parameter in theirs.named_parameters() if parameter.grad is not None] == []
