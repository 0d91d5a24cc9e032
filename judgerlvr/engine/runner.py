"""Run one stage: start or join Ray, let verl train in a task-runner actor, and turn its end into a result."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from omegaconf import DictConfig, OmegaConf

from judgerlvr.cluster.ray_start import starting
from judgerlvr.cluster.session import session
from judgerlvr.config.choices import Action
from judgerlvr.engine.devices import stage_environment
from judgerlvr.engine.flowing import flows, separates
from judgerlvr.engine.preflight import PreflightError, check_nodes, check_process
from judgerlvr.engine.signals import Interrupted, SignalHandlers
from judgerlvr.engine.verl_config import render, write_agent_loops
from judgerlvr.engine.watching import watched
from judgerlvr.runs.causes import Evidence, own_error
from judgerlvr.runs.checkpoints import complete
from judgerlvr.runs.folder import write_failure
from judgerlvr.runs.metrics import log_phase
from judgerlvr.runs.stage import TENSORBOARD, Stage
from rewards.errors import CommandFailed, one_line

WATCH_SECONDS = 10.0


class StageFailed(CommandFailed):
    """A stage ended early; the message is its cause in one line."""


def run_stage(stage: Stage) -> Path:
    """Train the stage to its end and return its last complete checkpoint.

    Raises:
        StageFailed: verl, a worker, a guard or a check ended the run.
    """
    train_stage(stage)
    return complete(stage.checkpoints)[-1]


def train_stage(stage: Stage) -> None:
    """Train the stage to its end, with or without checkpoints. Raises as ``run_stage``."""
    os.environ.update(stage_environment(stage))
    from verl.trainer.main_ppo import run_ppo

    write_agent_loops(stage)
    config = render(stage)
    (stage.run_dir / "verl.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    log_phase(stage.run_dir, "starting Ray")
    # The session frees the placement group: a second stage in the same Ray session would find no free GPU.
    with session(stage.ray_address) as ray_session:
        handlers, evidence = SignalHandlers(stage), Evidence.before(stage.run_dir, ray_session)
        with noted_failures(evidence, handlers), watched(ray_session, handlers), starting(ray_session):
            run_ppo(config, _Bound(stage, handlers))


@contextmanager
def noted_failures(evidence: Evidence, handlers: SignalHandlers) -> Iterator[None]:
    """Leave the cause of a failed block in the run folder, for people and for the report.

    Raises:
        StageFailed: in the place of every error of Ray, of a worker, of a check or of the watch.
        InputError, CommandFailed: a worker or the start of Ray raised the error, which says its cause itself.
        Interrupted: a signal ended the block.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not handlers.cause:
            before_training = interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT
            raise Interrupted(handlers.ending or before_training) from interrupt
        raise _noted(evidence, evidence.with_memory(handlers.cause)) from interrupt
    except CommandFailed as error:
        write_failure(evidence.run_dir, one_line(error))
        raise
    except (ray.exceptions.RayError, PreflightError) as error:
        if own := own_error(error):
            write_failure(evidence.run_dir, one_line(own))
            raise own from error
        raise _noted(evidence, evidence.cause(error)) from error


def _noted(evidence: Evidence, cause: str) -> StageFailed:
    write_failure(evidence.run_dir, cause)
    return StageFailed(cause)


@dataclass(frozen=True)
class _Bound:
    """What ``run_ppo`` takes for a task-runner class: its ``remote()`` gets the stage along."""

    stage: Stage
    handlers: SignalHandlers

    def remote(self) -> Any:
        # Ray has started here.
        if threading.current_thread() is threading.main_thread():
            self.handlers.install()
        return StageRunner.remote(self.stage)  # type: ignore[attr-defined]


@ray.remote(num_cpus=1)
class StageRunner:
    """verl's task runner with this product's trainer."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def run(self, config: DictConfig) -> None:
        import transfer_queue

        from judgerlvr.engine.in_training.trainer import TRAINERS
        from judgerlvr.engine.private.agent_workers import make_loops
        from judgerlvr.engine.private.interrupting_server import interrupt_queued
        from judgerlvr.engine.private.own_queue import own_queue
        from judgerlvr.engine.private.rollout_server import serve_many

        asked = self.stage.device, self.stage.model_type, separates(self.stage)
        check_process(*asked)
        check_nodes(*asked)
        # verl's tracker would write into the directory that the command happens to be run from.
        os.environ["TENSORBOARD_DIR"] = str(self.stage.run_dir / TENSORBOARD)
        config.transfer_queue.enable = True
        OmegaConf.resolve(config)
        own_queue()
        transfer_queue.init(config.transfer_queue)
        try:
            trainer = TRAINERS[self.stage.config.cluster.trainer_mode](config, self.stage)
            threading.Thread(target=_watch, args=(trainer, self.stage), daemon=True).start()
            log_phase(self.stage.run_dir, "loading the trainer and the rollout engine")
            if flows(self.stage):
                interrupt_queued()
            elif self.stage.device == "cpu":  # gathering was measured there alone
                serve_many()
            trainer.init()
            log_phase(self.stage.run_dir, "starting the workers that sample and grade")
            trainer.fit(make_loops(trainer, config))
            trainer.logger.finish()
        finally:
            transfer_queue.close()


def _hang(stage: Stage, minutes: float) -> str:
    return f"guard hang_minutes: no step finished for {minutes:.0f} min; resume with --resume {stage.run_dir}"


def _slow_start(minutes: float) -> str:
    """What the start waits for, as far as Ray tells."""
    pending = pending_bundles()
    if pending:
        offered = {name: ray.cluster_resources().get(name, 0) for name in ("CPU", "GPU")}
        waiting = f"Ray cannot place {pending[0]} (the cluster has {offered})"
    else:
        waiting = "engine.log says how far it came"
    return f"guard start_minutes: training has not begun after {minutes:.0f} min; {waiting}"


def pending_bundles() -> list[str]:
    """Resources that placement groups of this Ray session wait for, one text a group."""
    groups = ray.util.placement_group_table().values()
    return [str(list(group["bundles"].values())) for group in groups if group["state"] == "PENDING"]


def _watch(trainer: Any, stage: Stage) -> None:
    """End the process when no step finishes for too long: a failed weight sync hangs without an error.

    Before training begins it waits for the start: a placement group that Ray cannot serve stays pending as silently.
    """
    guards = stage.config.guards
    while True:
        time.sleep(WATCH_SECONDS)
        guard = guards.hang_minutes if trainer.training else guards.start_minutes
        silent = (time.monotonic() - trainer.heartbeat) / 60
        if silent < guard.limit:
            continue
        cause = _hang(stage, silent) if trainer.training else _slow_start(silent)
        print(cause, flush=True)
        if guard.action is Action.stop:
            write_failure(stage.run_dir, cause)
            os._exit(1)
        trainer.heartbeat = time.monotonic()
