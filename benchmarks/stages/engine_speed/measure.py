"""One pass of the engine over packed sequences, timed; its numbers compared with the first variant's."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.stages.engine_speed.shapes import update_flops

# H100 SXM and H200, bfloat16 without sparsity, by their data sheets.
PEAK_FLOPS = 989e12
CPU = not torch.cuda.is_available()


@dataclass(frozen=True)
class Load:
    """Sequences of one measurement, ``tokens`` in all, between ``shortest`` and ``longest``; ``budget`` in a pass."""

    name: str
    tokens: int
    shortest: int
    longest: int
    budget: int

    def lengths(self) -> list[int]:
        draw, found = random.Random(self.longest), []
        while sum(found) + self.shortest <= self.tokens:
            found.append(min(draw.randint(self.shortest, self.longest), self.tokens - sum(found)))
        return found


def make_engine(model: Path, budget: int, precision: str = "") -> Any:
    """Our engine for the policy in ``model``, as a stage of the product configures it on this device.

    ``precision``: fp32 or bf16 for weights in use and sums, else the device's own.
    """
    from omegaconf import OmegaConf
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.engine import EngineRegistry

    from judgerlvr.config.load import load_config
    from judgerlvr.engine.verl_config import render
    from judgerlvr.runs.stage import Stage

    settings = [f"cluster.micro_batch_tokens={budget}", "generate.optimizer.lr=1e-12"]
    stage = Stage(
        kind="generate",
        config=load_config("configs/tiny.yaml", settings),
        run_dir=model,
        init=model,
        train=model / "train.parquet",
        heldout=model / "heldout.parquet",
        device="cpu" if CPU else "gpu",
        prompts_per_step=32,
        reward_function="none.py:none",
    )
    config = render(stage)
    if precision:
        kinds = {"param_dtype": precision, "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
        OmegaConf.update(config, "actor_rollout_ref.actor.fsdp_config.mixed_precision", kinds, force_add=True)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    actor.model_config = omega_conf_to_dataclass(config.actor_rollout_ref.model)
    actor.model_config.model_type = "language_model"
    actor.optim.total_training_steps = 10
    settings = actor.engine
    settings.use_dynamic_bsz = settings.use_remove_padding = True
    engine = EngineRegistry.new(
        model_type="language_model",
        backend="fsdp2",
        model_config=actor.model_config,
        engine_config=settings,
        optimizer_config=actor.optim,
        checkpoint_config=actor.checkpoint,
    )
    engine.initialize()
    return engine


def make_batch(
    lengths: list[int], vocabulary: int, budget: int, updating: bool, carried: list[Tensor] | None = None
) -> Any:
    """Random tokens. ``carried``: what a HySparse rollout chose, int16 [values] a sequence."""
    from verl.utils import tensordict_utils as tu

    draw = torch.Generator().manual_seed(7)
    rows = {
        "input_ids": [torch.randint(0, vocabulary, (length,), generator=draw) for length in lengths],
        "position_ids": [torch.arange(length) for length in lengths],
        "loss_mask": [torch.ones(length) for length in lengths],
    }
    if carried is not None:
        rows["routed_experts"] = carried
    flags = {
        "use_remove_padding": True,
        "use_dynamic_bsz": True,
        "max_token_len_per_gpu": budget,
        "micro_batch_size_per_gpu": None,
        "use_fused_kernels": False,
        # As in a step: the first pass reports entropy, the update does not.
        "calculate_entropy": not updating,
        "temperature": 1.0,
        "compute_loss": updating,
        "global_batch_size": len(lengths),
        "pad_mode": "no_padding",
    }
    nested = {name: torch.nested.as_nested_tensor(parts, layout=torch.jagged) for name, parts in rows.items()}
    return tu.get_tensordict(nested, flags)


def loss(model_output: Any, data: Any, dp_group: Any = None) -> tuple[Tensor, dict[str, float]]:
    """A weighted mean of log-probabilities, as GRPO's at its first update is."""
    found = model_output["log_probs"].values().float()
    weights = torch.linspace(-1, 1, found.numel(), device=found.device)
    return (found * weights).sum() / 65_536, {}


@dataclass
class Passes:
    """What ``run`` needs beside its load."""

    engine: Any

    def run(self, load: Load, lengths: list[int], updating: bool, keep: bool = False) -> tuple[float, float, Any]:
        """(seconds, peak GiB, output) of one pass over ``lengths``; an update's output holds some gradients."""
        batch = make_batch(lengths, self.engine.module.config.vocab_size, load.budget, updating)
        if not CPU:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        wait()
        started = time.perf_counter()
        if updating:
            with self.engine.train_mode(disable_auto_offload=True):
                output = self.engine.train_batch(batch, loss_function=loss)
                wait()
                seconds = time.perf_counter() - started
                output["gradients"] = gradients(self.engine.module) if keep else {}
        else:
            with self.engine.eval_mode(disable_auto_offload=True):
                output = self.engine.infer_batch(batch, loss_function=None)
                wait()
                seconds = time.perf_counter() - started
        peak = 0.0 if CPU else torch.cuda.max_memory_allocated() / 2**30
        return seconds, peak, output

    def measure(self, load: Load) -> dict[str, float]:
        """us a token, peak GiB and MFU of both passes, after a short one of each that compiles what must be."""
        lengths = load.lengths()
        total, flops = sum(lengths), update_flops(self.engine.module.config, lengths)
        row: dict[str, float] = {"tokens": total}
        for name, updating, share in (("log_prob", False, 1 / 3), ("update", True, 1.0)):
            first, _, _ = self.run(load, lengths[: max(1, load.budget // load.longest)], updating)
            seconds, peak, output = self.run(load, lengths, updating)
            row |= {
                f"{name}_us": round(seconds / total * 1e6, 2),
                f"{name}_peak_gib": round(peak, 2),
                f"{name}_mfu": round(share * flops / seconds / PEAK_FLOPS, 4),
                f"{name}_first_s": round(first, 2),
            }
            if updating:
                row["grad_norm"] = float(output["metrics"]["grad_norm"])
        return row

    def numbers(self, load: Load) -> dict[str, Any]:
        """Log-probabilities, entropies, gradient norm and some gradients of a fixed small batch."""
        lengths = load.lengths()
        _, _, output = self.run(load, lengths, updating=False)
        found = output["model_output"]
        _, _, update = self.run(load, lengths, updating=True, keep=True)
        return {
            "log_probs": torch.cat([row.float().cpu() for row in found["log_probs"].unbind()]),
            "entropy": torch.cat([row.float().cpu() for row in found["entropy"].unbind()]),
            "norm": float(update["metrics"]["grad_norm"]),
            "gradients": update["gradients"],
        }


def gradients(module: Any) -> dict[str, Tensor]:
    """Of the first and the last parameters with a matrix, on the host."""
    named = [(name, part.grad) for name, part in module.named_parameters() if part.grad is not None and part.ndim > 1]
    chosen = dict([*named[:2], *named[-2:]])
    return {name: getattr(part, "_local_tensor", part).detach().float().cpu().clone() for name, part in chosen.items()}


def compare(one: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
    """How ``one`` differs from ``other``: absolute differences, and 1 - cosine of gradients."""
    row = {"grad_norm_ratio": one["norm"] / other["norm"]}
    for name in ("log_probs", "entropy"):
        difference = (one[name] - other[name]).abs()
        row |= {f"{name}_mean_diff": float(difference.mean()), f"{name}_max_diff": float(difference.max())}
    cosines = [
        torch.nn.functional.cosine_similarity(part.flatten(), other["gradients"][name].flatten(), dim=0)
        for name, part in one["gradients"].items()
    ]
    row["gradients_1_minus_cosine"] = 1 - float(min(cosines))
    return row


def wait() -> None:
    if not CPU:
        torch.cuda.synchronize()
