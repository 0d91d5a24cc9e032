"""A training stage as plain data: everything the engine needs, nothing that it could work out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from judgerlvr.config.load import ROOT
from judgerlvr.config.schema import Config, GenerateStage, JudgeStage, Kind
from rewards.errors import InputError

CHECKPOINTS = "checkpoints"
STATE = "stage.json"
TENSORBOARD = "tensorboard"
# A file of this name in the run folder asks the run to finish its step and to stop.
STOP = "STOP"
DATA = "data"
Counts = dict[str, Any]
REWARDS = {"judge": "judge_score", "generate": "generate_score"}
# Grades verdicts and answers alike, by the kind of the row.
BOTH = "compute_score"
# What a judge stage that also solves validates on: its held-out rows, and problems to solve.
VALIDATED = "validated.parquet"


def training_file(step: int) -> str:
    """Name of the training data whose candidates were sampled after ``step`` steps."""
    return f"train-{step}.parquet"


def reward_function(kind: Kind, solves: bool = False) -> str:
    """The reward of a stage as ``FILE:NAME``, which is how verl loads a reward. ``solves``: the judge also solves."""
    return f"{ROOT / 'rewards' / 'verl_adapter.py'}:{BOTH if solves else REWARDS[kind]}"


@dataclass(frozen=True)
class Stage:
    """One run of RL: initial weights, rendered prompts and the reward that grades the responses.

    ``train`` and ``heldout`` are verl parquet files. ``prompts_per_step`` is resolved (never match_tokens).
    ``tokens_before`` were sampled for candidates since ``resume_from`` was saved, and count in the token budget.
    ``resume_from`` is a complete checkpoint directory of this same run, or None.
    """

    kind: Kind
    config: Config
    run_dir: Path
    init: Path
    train: Path
    heldout: Path
    device: Literal["cpu", "gpu"]
    prompts_per_step: int
    reward_function: str
    reward_kwargs: dict[str, Any] = field(default_factory=dict)
    tokens_before: int = 0
    resume_from: Path | None = None
    ray_address: str | None = None

    @property
    def settings(self) -> JudgeStage | GenerateStage:
        return self.config.settings(self.kind)

    @property
    def checkpoints(self) -> Path:
        return self.run_dir / CHECKPOINTS

    @property
    def data(self) -> Path:
        return self.run_dir / DATA

    @property
    def solves(self) -> bool:
        """The stage judges, and measures solving on held-out problems at each validation."""
        return self.config.solves(self.kind)

    @property
    def validated(self) -> Path:
        """The verl parquet file of validation."""
        return self.data / VALIDATED if self.solves else self.heldout

    @property
    def model_type(self) -> str:
        """transformers' name of the policy's architecture. Empty where ``init`` holds no configuration yet."""
        path = self.init / "config.json"
        return str(json.loads(path.read_text(encoding="utf-8")).get("model_type", "")) if path.exists() else ""

    @property
    def chooses_blocks(self) -> bool:
        """The policy is a HySparse one with layers that select, whose rollouts carry the chosen blocks."""
        if self.model_type != "hysparse":
            return False
        # Imported for HySparse policies only, since other policies need none of the room.
        from judgerlvr.hysparse.model.config import HySparseConfig

        return bool(HySparseConfig.from_pretrained(self.init).selecting_layers)

    @property
    def replays_experts(self) -> bool:
        """The policy is a plain Qwen3-MoE that trains with the experts that its rollouts chose.

        Raises InputError where the key is set for another policy.
        """
        if not self.config.model.replay_experts:
            return False
        if self.model_type != "qwen3_moe":
            remedy = "unset it (HySparse policies have hysparse.replay)"
            raise InputError(
                f"the policy is of type {self.model_type}, not qwen3_moe", remedy, field="model.replay_experts"
            )
        return True


def derived(stage: Stage) -> dict[str, int]:
    """Numbers that follow from the three batch numbers, printed at start."""
    batch, algorithm = stage.settings.batch, stage.settings.algorithm
    samples = stage.prompts_per_step * batch.samples_per_prompt
    rounds = 1 + (algorithm.max_extra_rounds if algorithm.dynamic_sampling else 0)
    return {
        "samples per step": samples,
        "prompts per update": stage.prompts_per_step // batch.updates_per_step,
        "samples per update": samples // batch.updates_per_step,
        "steps at most": stage.settings.stop.steps,
        "samples at most": samples * rounds * stage.settings.stop.steps,
        "longest sequence": stage.config.max_prompt_tokens + stage.settings.max_response_tokens,
    }
