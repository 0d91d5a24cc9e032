"""verl's synchronous trainer with this product's hooks: stop rules, guards, canary, export probe."""

from __future__ import annotations

import json
import time
from typing import Any

from omegaconf import DictConfig
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from judgerlvr.engine.in_training import guards
from judgerlvr.engine.in_training.block_metrics import block_metrics, read_compared
from judgerlvr.engine.in_training.canary import Canary
from judgerlvr.engine.in_training.step_log import StepLog
from judgerlvr.engine.in_training.stopping import StopRules
from judgerlvr.engine.private.probe import probe_log_probs
from judgerlvr.hysparse.config import HySparseConfig
from judgerlvr.runs.checkpoints import SEAL
from judgerlvr.runs.metrics import METRICS, StepRow, log_progress
from judgerlvr.runs.stage import Stage

PROBES = 4


class StageTrainer(PPOTrainerSync):
    """Adds nothing to the algorithm; overrides are verl's ``on_*`` hooks, and ``step`` to keep its batch."""

    def __init__(self, config: DictConfig, stage: Stage) -> None:
        super().__init__(config)
        self.stage = stage
        self.keep_checkpoints = stage.settings.checkpoint.keep
        self.logger: Any = None  # verl sets its tracker when training starts
        self.rules = StopRules(stage.settings.stop)
        self.guard_state = guards.GuardState()
        self.canary = Canary(stage)
        # The watchdog waits for a first step: how long a cluster takes to come up is not known.
        self.heartbeat = float("inf")
        self.last_batch: Any = None
        self.block_config = HySparseConfig.from_pretrained(stage.init) if stage.chooses_blocks else None

    def on_init_end(self) -> None:
        super().on_init_end()
        self.replay_buffer.decode = self.tokenizer.decode
        self.replay_buffer.generated_tokens = self.stage.tokens_before
        if self.stage.resume_from:
            self.restore(json.loads((self.stage.resume_from / SEAL).read_text(encoding="utf-8")))

    def on_validate_begin(self) -> None:
        self._log_to_run_folder()

    def on_train_begin(self) -> None:
        self._log_to_run_folder()
        self.canary.check(0)
        self.heartbeat = time.monotonic()

    def on_sample_end(self) -> None:
        """Budgets are checked once this step's tokens are known, so that the step they end is saved too."""
        super().on_sample_end()
        reason = self.rules.reason_to_stop(self.replay_buffer.generated_tokens)
        if reason:
            log_progress(self.stage.run_dir, f"stopping after step {self.global_steps}: {reason}")
            self.total_training_steps = self.global_steps
            self.config.trainer.save_freq = 1

    def on_step_end(self) -> None:
        super().on_step_end()
        self.heartbeat = time.monotonic()

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, Any]) -> Any:
        self.last_batch = super().step(metrics, timing_raw)
        if self.block_config:
            metrics.update(block_metrics(read_compared(self.last_batch, self.block_config), self.block_config))
        return self.last_batch

    def probe_export(self) -> dict[str, Any]:
        """What transformers must compute from the export: see ``exporting.check_export``."""
        samples = probe_log_probs(self, self.last_batch, PROBES * self.actor_rollout_wg.world_size)
        return {"precision": "fp32" if self.stage.device == "cpu" else "bf16", "samples": samples}

    def _step(self, row: StepRow) -> None:
        for warning in guards.check(self.stage.config.guards, row, self.guard_state):
            log_progress(self.stage.run_dir, f"warning: {warning}")
        self.rules.observe(row)
        self.canary.check(row.step)

    def _log_to_run_folder(self) -> None:
        if not isinstance(self.logger, StepLog):
            path = self.stage.run_dir / METRICS
            steps, before = self.total_training_steps, self.rules.seconds()
            self.logger = StepLog(self.logger, path, self.stage.kind, steps, self._step, before)

    def progress(self) -> dict[str, Any]:
        """State that verl does not keep and a resumed run needs."""
        return {
            "step": self.global_steps,
            "generated_tokens": self.replay_buffer.generated_tokens,
            "seconds": self.rules.seconds(),
            "zero_steps": self.guard_state.zero_steps,
            "plateau": self.rules.plateau_state(),
        }

    def restore(self, progress: dict[str, Any]) -> None:
        self.replay_buffer.generated_tokens += progress["generated_tokens"]
        self.rules.restore(progress["seconds"], progress["plateau"])
        self.guard_state.zero_steps = progress["zero_steps"]
