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
from judgerlvr.config.schema import Config, Data
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


def read_options(data: Data, verifier: str) -> ReadOptions:
    """How files are to be read. A verifier says itself whether problems need gold answers."""
    needed = load_verifier(verifier).needs_gold
    return ReadOptions(dict(data.columns), cast(BadRows, data.bad_rows), needed)


class ProblemSets:
    """Training and held-out problems of a configuration, each read at first use. ``tell`` gets notes on the files."""

    def __init__(self, config: Config, grading: GradingSettings, tell: Tell = _print) -> None:
        self.data, self.seed, self.grading, self.tell = config.data, config.seed, grading, tell
        self.most_for_candidates = config.judge.data.problems
        self.verifier = config.reward.verifier

    @cached_property
    def options(self) -> ReadOptions:
        """How files of problems and of responses are read."""
        return read_options(self.data, self.verifier)

    @cached_property
    def train(self) -> list[Problem]:
        """Training problems.

        Raises:
            InputError: an unreadable or faulty file, or problems that occur in an evaluation set or held out.
        """
        data = self.data
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
        data = self.data
        if data.train and not data.heldout:
            return []
        return self._read(data.heldout) or self._tiny(data.tiny_heldout, "heldout")

    @property
    def for_candidates(self) -> list[Problem]:
        """Training problems that candidates are sampled for."""
        return self.train[: self.most_for_candidates or None]

    def _read(self, paths: Sequence[str]) -> list[Problem]:
        """Problems of the files, each once, every gold answer graded against itself. Notes on the files are told."""
        files = [read_problem_set(path, self.options) for path in paths]
        problems: dict[str, Problem] = {}
        for file in files:
            for note in file.notes():
                self.tell(note, False)
            with self.grading.open_pool() as pool:
                usable = check_golds(file.problems, pool, file.source, file.places, self.data.bad_rows)
                report = match_golds(usable, pool) if pool.reads_answers else GoldReport()
            for line in report.lines(file.source):
                self.tell(line, True)
            for problem in usable:
                # A problem that two files share is trained on once.
                problems.setdefault(problem.id, problem)
        return list(problems.values())

    def _tiny(self, count: int, split: Split) -> list[Problem]:
        rows = generate_problems(count, self.seed, split)
        return [make_problem(row["problem"], row["gold"], given_id=row["id"]) for row in rows]
