"""Problems of a stage: read or generated, and checked, once for everything that a stage does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from data.decontaminate import check_overlap
from data.problems import check_golds, read_problems
from judgerlvr.config.schema import Config
from judgerlvr.tinyworld.problems import generate_problems
from rewards.gold_matching import warn_of_golds
from rewards.grading.settings import GradingSettings
from rewards.types import Problem
from rewards.verifier import load_verifier

Split = Literal["train", "heldout"]


class ProblemSets:
    """Training and held-out problems of a configuration, each read at first use."""

    def __init__(self, config: Config, grading: GradingSettings) -> None:
        self.config, self.grading = config, grading

    @cached_property
    def train(self) -> list[Problem]:
        """Training problems.

        Raises:
            InputError: an unreadable or faulty file, or problems that occur in an evaluation set.
        """
        data = self.config.data
        problems = self._read(data.train) or self._tiny(data.tiny_train, "train")
        return check_overlap(problems, [Path(path) for path in data.evaluation], data.contamination)

    @cached_property
    def heldout(self) -> list[Problem]:
        """Held-out problems: none beside own training problems whose user holds none out.

        Raises:
            InputError: an unreadable or faulty file.
        """
        data = self.config.data
        if data.train and not data.heldout:
            return []
        return self._read(data.heldout) or self._tiny(data.tiny_heldout, "heldout")

    @property
    def for_candidates(self) -> list[Problem]:
        """Training problems that candidates are sampled for."""
        return self.train[: self.config.judge.data.problems or None]

    def _read(self, paths: Sequence[str]) -> list[Problem]:
        """Problems of the files, every gold answer graded against itself."""
        need_gold = load_verifier(self.grading.verifier).needs_gold
        files = [(Path(path), read_problems(Path(path), need_gold)) for path in paths]
        if files:
            with self.grading.open_pool() as pool:
                for file, problems in files:
                    check_golds(problems, pool, file)
                    warn_of_golds(problems, pool, file)
        return [problem for _, problems in files for problem in problems]

    def _tiny(self, count: int, split: Split) -> list[Problem]:
        rows = generate_problems(count, self.config.seed, split)
        return [Problem(row["id"], row["problem"], row["gold"]) for row in rows]
