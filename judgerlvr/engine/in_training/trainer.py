"""verl's trainers with this product's hooks: stop rules, guards and canary."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from judgerlvr.config.choices import TrainerMode
from judgerlvr.config.schema import Stop
from judgerlvr.engine.devices import engine_name
from judgerlvr.engine.in_training import guards
from judgerlvr.engine.in_training.block_metrics import block_metrics, read_compared
from judgerlvr.engine.in_training.canary import Canary
from judgerlvr.engine.in_training.checkpoint_hook import seal
from judgerlvr.engine.in_training.cluster_gauges import ClusterGauges
from judgerlvr.engine.in_training.mismatch import mismatch_metrics, read_samples
from judgerlvr.engine.in_training.step_log import StepLog
from judgerlvr.engine.in_training.stopping import StopRules
from judgerlvr.engine.measured_steps import BYPASS, measures
from judgerlvr.engine.private.balancing import SameUpdates
from judgerlvr.engine.private.separate_trainer import OneSync
from judgerlvr.engine.private.tensor_columns import TensorColumns
from judgerlvr.engine.private.validation import ValidationFigures
from judgerlvr.engine.worker_reports import check_reports, forget_reports
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.runs.checkpoints import Progress, read_seal
from judgerlvr.runs.manifest import read_manifest, write_manifest
from judgerlvr.runs.metrics import (
    METRICS,
    StepRow,
    log_phase,
    log_progress,
    read_metrics,
    sampling_phase,
    training_phase,
)
from judgerlvr.runs.object_storage import copy_elsewhere
from judgerlvr.runs.others_tokens import tokens_of
from judgerlvr.runs.stage import STOP, Stage
from rewards.wording import counted

# Between two looks at the tokens of other runs.
WAIT_SECONDS = 1.0


class StageHooks(SameUpdates, TensorColumns, ValidationFigures, PPOTrainer):
    """Adds nothing to the algorithm. Overrides are verl's ``on_*`` hooks, and ``step`` to measure its batch."""

    def __init__(self, config: DictConfig, stage: Stage) -> None:
        super().__init__(config)
        forget_reports(stage.run_dir)
        self.stage = stage
        self.saved: Path | None = None  # the step's checkpoint, until the checkpoint is sealed
        self.logger: Any = None  # verl sets its tracker when training starts
        gain = stage.config.judge.solving.stop_gain if stage.solves else 0.0
        self.rules = StopRules(stage.settings.stop, gain)
        self.guard_state = guards.GuardState.after(read_metrics(stage.run_dir / METRICS))
        self.canary = Canary(stage)
        # Until training begins the watchdog counts from here, by a limit of its own.
        self.heartbeat, self.training = time.monotonic(), False
        self.workers: dict[str, Any] = {}  # facts that the workers report of their engine
        self.block_config = HySparseConfig.from_pretrained(stage.init) if stage.chooses_blocks else None

    def on_init_end(self) -> None:
        log_phase(self.stage.run_dir, "sending the weights to the rollout engine")
        super().on_init_end()
        cluster = self.stage.config.cluster
        ranks = cluster.nodes * cluster.gpus_per_node
        self.workers = check_reports(self.stage.run_dir, engine_name(self.stage), ranks)
        manifest = read_manifest(self.stage.run_dir)
        write_manifest(self.stage.run_dir, replace(manifest, engine=self.workers))
        self.replay_buffer.decode = self.tokenizer.decode
        self.replay_buffer.generated_tokens = self.stage.tokens_before
        if self.stage.resume_from:
            self.restore(read_seal(self.stage.resume_from, Progress))

    def on_validate_begin(self) -> None:
        self._log_to_run_folder()
        log_phase(self.stage.run_dir, f"validating after step {self.global_steps}", passing=self.training)

    def on_train_begin(self) -> None:
        self._log_to_run_folder()
        self.canary.check(0)
        super().on_train_begin()
        self.heartbeat, self.training = time.monotonic(), True

    def on_sample_begin(self) -> None:
        super().on_sample_begin()
        # verl reads the key in each step anew.
        OmegaConf.update(self.config, BYPASS, not measures(self.stage, self.global_steps))
        log_phase(self.stage.run_dir, sampling_phase(self.global_steps), passing=True)

    def on_sample_end(self) -> None:
        """Check budgets once this step's tokens are known, so that the last step is saved too."""
        super().on_sample_end()
        tokens = self.replay_buffer.generated_tokens
        self._make_last(self._others_spent(tokens) or self.rules.reason_to_stop(tokens) or self._asked())
        log_phase(self.stage.run_dir, training_phase(self.global_steps), passing=True)

    def _others_spent(self, tokens: int) -> str | None:
        """Why the budget of other runs ends this run. Waits while this run has sampled more than the others.

        Only tokens of the others count as a sign of life, so that the guard ``hang_minutes`` ends a wait for nothing.
        """
        others = [Path(folder) for folder in self.stage.settings.stop.tokens_of]
        seen = -1
        while others and not self._asked() and not self.rules.reason_to_stop(tokens):
            budget = tokens_of(others)
            allowed = budget.allows(tokens)
            if allowed is not None:
                names = " and ".join(folder.name for folder in others)
                return None if allowed else f"{counted(tokens, 'token')} generated ({names} ended with {budget.tokens})"
            if seen < 0:
                phase = f"step {self.global_steps}: ahead of the others' tokens, waiting"
                log_phase(self.stage.run_dir, phase, passing=True)
            if budget.tokens > seen:
                seen, self.heartbeat = budget.tokens, time.monotonic()
            time.sleep(WAIT_SECONDS)
        return None

    def on_step_end(self) -> None:
        super().on_step_end()
        self.heartbeat = time.monotonic()

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, Any]) -> Any:
        batch = super().step(metrics, timing_raw)
        # A stop that was asked for during the update. verl saves next.
        self._make_last(self._asked())
        if measures(self.stage, self.global_steps):
            metrics.update(self._compared(batch))
        return batch

    def _compared(self, batch: Any) -> dict[str, float]:
        """Metrics of the trainer's old log-probabilities and choices beside the rollout's."""
        samples = read_samples(batch, self.stage.replays_experts, bool(self.stage.settings.agent_loop))
        found = mismatch_metrics(samples, self.workers.get("router_layers", 0))
        if self.block_config:
            found |= block_metrics(read_compared(batch, self.block_config), self.block_config)
        return found

    def _step(self, row: StepRow) -> None:
        """End the step. The seal holds what the rules and guards have seen of the step, and the step has its row.

        A guard that stops the run leaves the checkpoint sealed, unless a value of the row is not finite.
        """
        measured = measures(self.stage, row.step)
        found = guards.crossed(self.stage.config.guards, row, self.guard_state, measured)
        self.rules.observe(row)
        self._seal()
        for warning in guards.stop_or_warn(self.stage.config.guards, found):
            log_progress(self.stage.run_dir, f"warning: {warning}")
        self.canary.check(row.step)

    def _seal(self) -> None:
        if self.saved:
            copied = partial(copy_elsewhere, self.stage)
            seal(self.saved, self.progress(), self.stage.settings.checkpoint.keep, copied)
            self.saved = None
            # A stop that was asked for behind the save needs no further step.
            self._make_last(self._asked())

    def _asked(self) -> str | None:
        return "asked to stop" if (self.stage.run_dir / STOP).exists() else None

    def _make_last(self, reason: str | None) -> None:
        """Make the step at work the last one, and have the step saved if verl has not saved yet."""
        if not reason or self.total_training_steps <= self.global_steps:
            return
        log_progress(self.stage.run_dir, f"stopping after step {self.global_steps}: {reason}")
        self.total_training_steps: int = self.global_steps
        self.config.trainer.save_freq = 1

    def _log_to_run_folder(self) -> None:
        if not isinstance(self.logger, StepLog):
            path = self.stage.run_dir / METRICS
            # A private cluster has no page that anyone could watch.
            publish = ClusterGauges(self.stage.run_dir.name) if self.stage.ray_address else None
            self.logger = StepLog(
                self.logger, path, self.stage.kind, self._whole_stop(), self._step, self.rules, publish
            )

    def _whole_stop(self) -> Stop:
        """The limits of the whole run. A stage that is trained in segments has the end of its segment as a limit."""
        stop = self.stage.settings.stop
        return replace(stop, steps=max(stop.steps, read_manifest(self.stage.run_dir).steps or 0))

    def progress(self) -> dict[str, Any]:
        """State that verl does not keep and a resumed run needs."""
        return {
            "step": self.global_steps,
            "generated_tokens": self.replay_buffer.generated_tokens,
            "seconds": self.rules.seconds(),
            "zero_steps": self.guard_state.zero_steps,
            "plateau": self.rules.plateau_state(),
            **({"solving": solving} if (solving := self.rules.solving_state()) else {}),
        }

    def restore(self, progress: Mapping[str, Any]) -> None:
        self.replay_buffer.generated_tokens += progress["generated_tokens"]
        self.rules.restore(progress["seconds"], progress["plateau"], progress.get("solving"))
        self.guard_state.zero_steps = progress["zero_steps"]


class StageTrainer(StageHooks, PPOTrainerSync):
    """Each step trains on samples of its own weights."""


class FlowingTrainer(StageHooks, PPOTrainerColocateAsync):
    """Sampling flows on over the updates (``cluster.trainer_mode=colocate_async``)."""


class SeparateTrainer(StageHooks, OneSync):
    """Sampling flows on, on devices of its own (``cluster.trainer_mode=separate_async``)."""


TRAINERS: dict[TrainerMode, type[StageHooks]] = {
    TrainerMode.sync: StageTrainer,
    TrainerMode.colocate_async: FlowingTrainer,
    TrainerMode.separate_async: SeparateTrainer,
}
