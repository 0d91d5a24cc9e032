"""The subject of the checks: a request for a stage, with tokenizer and problems read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from judgerlvr.config.schema import Config
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.pipeline.reward_settings import grading_settings
from judgerlvr.planning.shapes import ModelShape, known_shape
from judgerlvr.runs.request import Request
from rewards.errors import InputError
from rewards.grading.settings import GradingSettings


@dataclass
class Subject:
    """``here``: the stage is to run now. Otherwise the stage is planned, and its GPUs may be elsewhere.

    ``new`` asks for another run beside an existing run of the same name.
    ``notes`` and ``warnings`` hold what was said of the files while they were read.
    """

    request: Request
    here: bool = True
    override_card: bool = False
    new: bool = False
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def config(self) -> Config:
        return self.request.config

    @cached_property
    def tokenizer(self) -> Any:
        return load_tokenizer(self.request.init, self.config.model.trust_remote_code)

    @cached_property
    def shape(self) -> ModelShape | None:
        return known_shape(self.request.init)

    @cached_property
    def grading(self) -> GradingSettings:
        """The grader. Without a usable model its golds can be tried all the same."""
        reward = self.config.reward
        try:
            return grading_settings(self.config.reward, self.tokenizer)
        except InputError:
            return GradingSettings(reward.verifier, reward.extraction.value, reward.workers)

    @cached_property
    def problems(self) -> ProblemSets:
        return ProblemSets(self.config, self.grading, self._tell)

    def _tell(self, line: str, is_warning: bool) -> None:
        (self.warnings if is_warning else self.notes).append(line)
