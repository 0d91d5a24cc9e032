"""Jobs of a Ray cluster: the connection to its dashboard, and start, state, log, end and stop of a job."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from judgerlvr.cluster.ray import answers
from rewards.errors import CommandFailed, InputError, one_line

PREFIX = "judgerlvr-"
DEFAULT_ADDRESS = "http://127.0.0.1:8265"
PORTS = {"http": 80, "https": 443}
# A stop that takes longer than the seconds until Ray kills a job, and some more for the kill.
STOP_LIMIT = 60.0
POLL = 0.5
# A head takes jobs some seconds after its dashboard answers. Ray itself waits 10 s for each try.
AGENT_LIMIT = 60.0
# A head whose machine has lost power closes no connection, so the port is tried beside the log.
ASK_SECONDS, LOST_SECONDS = 15.0, 60.0
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


class JobFailed(CommandFailed):
    """The job ended with another exit code than 0. ``code`` is the job's own exit code, 1 where Ray knows none."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class HeadLost(CommandFailed):
    """The cluster of a job has gone, and the job with the cluster. ``code`` asks a scheduler to start both again."""

    code = 75

    def __init__(self, job: str, address: str) -> None:
        again = "start the cluster and give the same command again, which goes on from the last checkpoint"
        super().__init__(f"the cluster at {address} is gone, and {job} with its head; {again}")


def dashboard(address: str | None) -> str:
    """The given address, else that in ``RAY_ADDRESS``, else Ray's default."""
    return address or os.environ.get("RAY_ADDRESS") or DEFAULT_ADDRESS


def check_dashboard(address: str) -> None:
    """Refuse an address that job submission cannot use.

    Raises:
        InputError: another scheme than http or https, no host, or a port that is none.
    """
    try:
        parts = urlsplit(address)
        sound = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        remedy = "give the address of the cluster's dashboard, such as http://head:8265"
        raise InputError(f"{address!r} is no dashboard address", remedy, field="--address")


def connect(address: str) -> Any:
    """A client of the cluster's jobs.

    Raises:
        InputError: no dashboard address, nothing answers there within seconds, or the cluster refuses the client.
    """
    check_dashboard(address)
    # Ray's own client waits for minutes for a host that is gone.
    if not answers(host_and_port(address)):
        remedy = "start the head with `ray start --head --dashboard-host=0.0.0.0`, or correct host and port"
        raise InputError(f"no cluster answers at {address}", remedy, field="--address")
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address, headers=credentials())
    except (ConnectionError, RuntimeError) as error:
        problem = f"the cluster at {address} refuses this client ({str(error).splitlines()[0]})"
        raise InputError(problem, _refused(str(error)), field="--address") from error


def host_and_port(address: str) -> str:
    """``HOST:PORT`` of a dashboard's address."""
    parts = urlsplit(address)
    return f"{parts.hostname}:{parts.port or PORTS[parts.scheme]}"


def _refused(error: str) -> str:
    if any(word in error.lower() for word in ("token", "unauth", "401", "403")):
        return "set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the cluster's token"
    return "check scheme (http or https), port and token"


def credentials() -> dict[str, str]:
    """The header with the cluster's token, none where there is no token."""
    # `ray start` turns authentication on when it finds a token. A variable set here would reach later Ray sessions.
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
    token = os.environ.get("RAY_AUTH_TOKEN") or (path.read_text("utf-8").strip() if path.is_file() else "")
    return {"Authorization": f"Bearer {token}"} if token else {}


def start(client: Any, **job: Any) -> str:
    """Give a job to the cluster, and wait until a new head takes the job; returns the job's name.

    Raises:
        InputError: the cluster refuses the job, or takes none for ``AGENT_LIMIT`` seconds.
    """
    until = time.monotonic() + AGENT_LIMIT
    while True:
        try:
            return str(client.submit_job(**job))
        except RuntimeError as error:
            if "No available agent" in str(error) and time.monotonic() < until:
                time.sleep(POLL)
                continue
            raise InputError(f"the cluster takes no job ({one_line(error)})", "see the head's dashboard.log") from error


def follow(client: Any, job: str, address: str) -> None:
    """Print the job's log until the job ends.

    Raises:
        JobFailed: the job's exit code is not 0.
        HeadLost: nothing answers at ``address`` any more.
        CommandFailed: the log broke off, and the job goes on.
    """
    try:
        asyncio.run(_tail(client, job, address))
        check_end(client, job)
        broken = state_of(details(client, job)) not in ENDED
    # A connection that breaks is one of these in Ray's client, by the way in which the connection breaks.
    except (RuntimeError, OSError) as error:
        if not answers(host_and_port(address)):
            raise HeadLost(job, address) from error
        broken = True
    if broken:
        check_end(client, job)
        raise CommandFailed(
            f"the log of {job} broke off; python -m judgerlvr.submit logs {job} --follow shows the rest"
        )


async def _tail(client: Any, job: str, address: str) -> None:
    """Print lines as they come. A head that is silent for ``LOST_SECONDS`` ends the wait.

    Raises:
        HeadLost: the head is silent.
        RuntimeError, OSError: the connection breaks.
    """
    printing = asyncio.ensure_future(_print(client, job))
    heard = time.monotonic()
    while not (await asyncio.wait({printing}, timeout=ASK_SECONDS))[0]:
        if await asyncio.to_thread(answers, host_and_port(address)):
            heard = time.monotonic()
        elif time.monotonic() - heard > LOST_SECONDS:
            printing.cancel()
            raise HeadLost(job, address)
    await printing


async def _print(client: Any, job: str) -> None:
    async for lines in client.tail_job_logs(job):
        print(lines, end="", flush=True)


def check_end(client: Any, job: str) -> None:
    """Raise a JobFailed for a job that has failed or was stopped."""
    found = details(client, job)
    if state_of(found) in ("FAILED", "STOPPED"):
        code = found.driver_exit_code or 1
        # A driver that a signal ended has a negative code, which no shell could return.
        code = code if code > 0 else 128 - code
        raise JobFailed(f"job {job} {state_of(found)}: exit code {code}", code)


def details(client: Any, job: str) -> Any:
    """What Ray knows of a job.

    Raises:
        InputError: the cluster has no such job.
    """
    try:
        return client.get_job_info(job)
    except RuntimeError as error:
        remedy = f"use one of {', '.join(names(client)) or 'none, since nothing was submitted'}"
        raise InputError(f"no job {job!r} ({one_line(error)[:80]})", remedy) from error


def state_of(found: Any) -> str:
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    return str(getattr(found.status, "value", found.status))


def names(client: Any) -> list[str]:
    """Jobs of this product, the newest first."""
    jobs = [job for job in client.list_jobs() if (job.submission_id or "").startswith(PREFIX)]
    return [str(job.submission_id) for job in sorted(jobs, key=lambda job: -(job.start_time or 0))]


def status_line(client: Any, job: str) -> str:
    """State, times, exit code and Ray's message of a job in one line."""
    found = details(client, job)
    times = [("since", found.start_time), ("ended", found.end_time)]
    shown = [f"{word} {datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC" for word, ms in times if ms]
    code = [f"exit code {found.driver_exit_code}"] if found.driver_exit_code is not None else []
    failed = state_of(found) == "FAILED" and found.message
    said = [one_line(RuntimeError(str(found.message)))] if failed else []
    return ", ".join([f"{job}: {state_of(found)}", *shown, *code, *said])


def stop(client: Any, job: str) -> str:
    """End a job and wait for its end; returns the line that says so.

    Raises:
        InputError: no such job.
        CommandFailed: the job still runs after ``STOP_LIMIT`` seconds.
    """
    state = state_of(details(client, job))
    if state in ENDED:
        return f"{job}: {state} before"
    client.stop_job(job)
    until = time.monotonic() + STOP_LIMIT
    while (state := state_of(details(client, job))) not in ENDED:
        if time.monotonic() > until:
            raise CommandFailed(f"{job} is still {state} after {STOP_LIMIT:.0f} s; give the same command again")
        time.sleep(POLL)
    return f"{job}: {state}; the same submission goes on from the last checkpoint"
