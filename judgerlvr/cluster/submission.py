"""Submission of a stage to a running Ray cluster, through ``ray.job_submission``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from judgerlvr.cli import MODULES
from judgerlvr.config.load import ROOT
from rewards.errors import CommandFailed, InputError

STAGES = {module: kind for kind, module in MODULES.items()}
DEFAULT_ADDRESS = "http://127.0.0.1:8265"
# The checkout without the files that grow in it. Workers import the code from the job's working directory.
# ".*" would match the folder itself, and Ray would send an empty package.
EXCLUDES = [".?*", "/runs", "/ckpt", "/outputs", "/docs", "/tests", "/benchmarks", "/examples"]


class JobFailed(CommandFailed):
    """The job ended with another exit code than 0. ``code`` is the stage's own exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Submission:
    """One stage to submit.

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
        continuing = "--resume" in self.arguments
        runs = [] if continuing else [f"runs={self.storage / 'runs'}"]
        link = self.storage / "ckpt" / STAGES[self.stage]
        out = [] if continuing or "--out" in self.arguments else ["--out", str(link)]
        return [self.python, "-m", f"judgerlvr.{self.stage}", *self.arguments, *runs, *out]


def check(submission: Submission) -> None:
    """Refuse what no cluster could run.

    Raises:
        InputError: an unknown stage, a relative storage folder, or an address that job submission cannot use.
    """
    if submission.stage not in STAGES:
        raise InputError(f"no stage {submission.stage!r}", f"use one of {', '.join(STAGES)}")
    if not submission.storage.is_absolute():
        raise InputError("--storage is a relative path", "give an absolute path that every node sees")
    if not submission.address.startswith(("http://", "https://")):
        remedy = "give the address of the cluster's dashboard, such as http://head:8265"
        raise InputError(f"{submission.address!r} is no dashboard address", remedy, field="--address")


def submit(submission: Submission) -> None:
    """Submit, stream the job's log, and wait for its end.

    Raises:
        InputError: as ``check``, or no cluster answers at the address.
        JobFailed: the stage's own exit code is not 0.
    """
    import shlex

    check(submission)
    client = _client(submission.address)
    kind = STAGES[submission.stage]
    name = f"judgerlvr-{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    job = client.submit_job(
        entrypoint=shlex.join(submission.entrypoint),
        submission_id=name,
        runtime_env={"working_dir": str(ROOT), "excludes": EXCLUDES},
    )
    print(f"submitted: {job} at {submission.address}", flush=True)
    asyncio.run(_follow(client, job))
    details = client.get_job_info(job)
    if str(details.status) != "SUCCEEDED":
        code = details.driver_exit_code or 1
        raise JobFailed(f"job {job} {details.status}: exit code {code}", code)


def _client(address: str) -> Any:
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address, headers=_credentials())
    except (ConnectionError, RuntimeError) as error:
        cause = str(error).splitlines()[0]
        raise InputError(f"no cluster answers at {address} ({cause})", "check address, port and token") from error


def _credentials() -> dict[str, str]:
    # `ray start` turns authentication on when it finds a token. A variable set here would reach later Ray sessions.
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
    token = os.environ.get("RAY_AUTH_TOKEN") or (path.read_text("utf-8").strip() if path.is_file() else "")
    return {"Authorization": f"Bearer {token}"} if token else {}


async def _follow(client: Any, job: str) -> None:
    async for lines in client.tail_job_logs(job):
        print(lines, end="", flush=True)


def make_submission(
    stage: str, arguments: Sequence[str], storage: Path, python: str, address: str | None
) -> Submission:
    """A submission with the address from ``RAY_ADDRESS`` or Ray's default where none is given."""
    given = address or os.environ.get("RAY_ADDRESS") or DEFAULT_ADDRESS
    return Submission(stage, tuple(arguments), storage, python, given)
