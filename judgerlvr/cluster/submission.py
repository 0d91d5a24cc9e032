"""Submission of a stage or an experiment to a running Ray cluster, through ``ray.job_submission``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from judgerlvr.cli import MODULES
from judgerlvr.cluster.jobs import PREFIX, check_dashboard, connect, dashboard, follow, start
from judgerlvr.config.load import ROOT
from rewards.errors import InputError

STAGES = {module: kind for kind, module in MODULES.items()}
EXPERIMENT = "experiment"
RESTARTS = 3
# Ray kills a job so many seconds after asking for its end. Ray's own 3 s are too few to free cards.
STOP_SECONDS = 30
STOP_VARIABLE = "RAY_JOB_STOP_WAIT_TIME_S"
# The checkout without the files that grow in it. Workers import the code from the job's working directory.
# ".*" would match the folder itself, and Ray would send an empty package.
EXCLUDES = [".?*", "/runs", "/ckpt", "/outputs", "/docs", "/tests", "/benchmarks", "/examples"]


@dataclass(frozen=True)
class Submission:
    """One stage to submit, or an experiment.

    ``storage`` lies on a file system that every node sees. Runs and finished policies go there.
    ``python`` is the interpreter on the cluster's nodes.
    """

    stage: str
    arguments: tuple[str, ...]
    storage: Path
    python: str
    address: str

    @property
    def entrypoint(self) -> list[str]:
        """The command of the job, with the storage's folders unless the arguments name others."""
        words = [self.python, "-m", f"judgerlvr.{self.stage}", *self.arguments]
        return [*words, *(self._folders_of_plan() if self.stage == EXPERIMENT else self._folders_of_stage())]

    def _folders_of_stage(self) -> list[str]:
        continuing = "--resume" in self.arguments
        runs = [] if continuing else [f"runs={self.storage / 'runs'}"]
        link = self.storage / "ckpt" / STAGES[self.stage]
        return [*runs, *([] if continuing or self._gives("--out") else ["--out", str(link)])]

    def _folders_of_plan(self) -> list[str]:
        plan = next((Path(word).stem for word in self.arguments if word.endswith((".yaml", ".yml"))), EXPERIMENT)
        out = [] if self._gives("--out") else ["--out", str(self.storage / "experiments" / plan)]
        return [*out, *([] if self._gives("--restarts") else ["--restarts", str(RESTARTS)])]

    def _gives(self, option: str) -> bool:
        return any(word.partition("=")[0] == option for word in self.arguments)

    @property
    def job_name(self) -> str:
        """What the job's identifier begins with."""
        return f"{PREFIX}{STAGES.get(self.stage, self.stage)}"


def check(submission: Submission) -> None:
    """Refuse what no cluster could run.

    Raises:
        InputError: an unknown stage, a relative storage folder, or an address that job submission cannot use.
    """
    jobs = (*STAGES, EXPERIMENT)
    if submission.stage not in jobs:
        raise InputError(f"no stage {submission.stage!r}", f"use one of {', '.join(jobs)}")
    if not submission.storage.is_absolute():
        raise InputError("--storage is a relative path", "give an absolute path that every node sees")
    check_dashboard(submission.address)


def submit(submission: Submission) -> None:
    """Submit, stream the job's log, and wait for its end.

    Raises:
        InputError: as ``check``, or no cluster answers at the address.
        JobFailed, HeadLost, CommandFailed: as ``follow``.
    """
    import shlex

    check(submission)
    client = connect(submission.address)
    name = f"{submission.job_name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    job = start(
        client,
        entrypoint=shlex.join(submission.entrypoint),
        submission_id=name,
        runtime_env={
            "working_dir": str(ROOT),
            "excludes": EXCLUDES,
            "env_vars": {STOP_VARIABLE: str(STOP_SECONDS)},
        },
    )
    print(f"submitted: {job} at {submission.address}", flush=True)
    follow(client, job, submission.address)


def make_submission(
    stage: str, arguments: Sequence[str], storage: Path, python: str, address: str | None
) -> Submission:
    """A submission with the address from ``RAY_ADDRESS`` or Ray's default where none is given."""
    return Submission(stage, tuple(arguments), storage, python, dashboard(address))
