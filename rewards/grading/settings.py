"""Settings of a grader, chosen once and handed on whole, so that no caller can forget one of them."""

from __future__ import annotations

from dataclasses import dataclass

from rewards.extraction.extract import Mode
from rewards.grading.pool import GraderPool
from rewards.verifier import DEFAULT_VERIFIER


@dataclass(frozen=True)
class GradingSettings:
    """Verifier (``package.module:function``), extraction mode and number of processes.

    ``thinking_open``: the prompt already ends with the opening tag of the thinking part.
    """

    verifier: str = DEFAULT_VERIFIER
    mode: Mode = "strict"
    workers: int = 2
    thinking_open: bool = False

    def open_pool(self, workers: int | None = None) -> GraderPool:
        """A pool of grading processes. A verifier that cannot be imported raises InputError."""
        return GraderPool(self.verifier, workers or self.workers, mode=self.mode, thinking_open=self.thinking_open)
