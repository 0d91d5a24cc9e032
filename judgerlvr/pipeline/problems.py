"""Problems of a stage: read or generated, and checked, once for everything that a stage does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

from data.decontaminate import check_overlap
from data.identity import make_problem
from data.importing.options import BadRows, ReadOptions
from data.problems import check_apart, check_golds, read_problem_set
from judgerlvr.config.schema import Config
from judgerlvr.tinyworld.problems import generate_problems
from rewards.gold_matching import GoldReport, match_golds
from rewards.grading.settings import GradingSettings
from rewards.types import Problem
from rewards.verifier import load_verifier

Split = Literal["train", "heldout"]
# Takes a line about a file, and whether the line is a warning.
Tell = Callable[[str, bool], None]


def _print(line: str, is_warning: bool) -> None:
    print(f"warning: {line}" if is_warning else line, file=sys.stderr if is_warning else sys.stdout, flush=True)


def read_options(config: Config) -> ReadOptions:
    """How the configuration wants files to be read. A verifier says itself whether problems need gold answers."""
    needed = load_verifier(config.reward.verifier).needs_gold
    return ReadOptions(dict(config.data.columns), cast(BadRows, config.data.bad_rows), needed)


class ProblemSets:
    """Training and held-out problems of a configuration, each read at first use. ``tell`` gets notes on the files."""

    def __init__(self, config: Config, grading: GradingSettings, tell: Tell = _print) -> None:
        self.config, self.grading, self.tell = config, grading, tell

    @cached_property
    def train(self) -> list[Problem]:
        """Training problems.

        Raises:
            InputError: an unreadable or faulty file, or problems that occur in an evaluation set or held out.
        """
        data = self.config.data
        problems = self._read(data.train) or self._tiny(data.tiny_train, "train")
        # Generated splits are apart by construction.
        if data.train and data.heldout:
            check_apart(problems, self.heldout)
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
        """Problems of the files, each once, every gold answer graded against itself. Notes on the files are told."""
        options, bad_rows = read_options(self.config), self.config.data.bad_rows
        files = [read_problem_set(path, options) for path in paths]
        problems: dict[str, Problem] = {}
        for file in files:
            for note in file.notes():
                self.tell(note, False)
            with self.grading.open_pool() as pool:
                usable = check_golds(file.problems, pool, file.source, file.places, bad_rows)
                report = match_golds(usable, pool) if pool.reads_answers else GoldReport()
            for line in report.lines(file.source):
                self.tell(line, True)
            for problem in usable:
                # A problem that two files share is trained on once.
                problems.setdefault(problem.id, problem)
        return list(problems.values())

    def _tiny(self, count: int, split: Split) -> list[Problem]:
        rows = generate_problems(count, self.config.seed, split)
        return [make_problem(row["problem"], row["gold"], given_id=row["id"]) for row in rows]
