"""Submit a stage or an experiment to a running Ray cluster, and watch or stop it there.

    python -m judgerlvr.submit --storage DIR stage1_judge    [--config FILE] [key=value ...]
    python -m judgerlvr.submit --storage DIR stage2_generate --init DIR/ckpt/judge [key=value ...]
    python -m judgerlvr.submit --storage DIR experiment      CONFIG.yaml [--restarts 3] [--at-once 4] [key=value ...]
    python -m judgerlvr.submit status [JOB]
    python -m judgerlvr.submit logs   JOB [--follow]
    python -m judgerlvr.submit stop   JOB
    python -m judgerlvr.submit wait   NODES

A submission streams the log. The exit code is that of the job, and 75 if the cluster is gone. ``wait`` ends when so
many nodes live. DIR lies on a file system that every node sees. Runs go to DIR. Finished policies go to DIR too. The
cluster is the one at ``--address``, else at RAY_ADDRESS, else at http://127.0.0.1:8265.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rewards.command_line import OneLineParser
from rewards.errors import InputError, exit_code
from rewards.wording import counted

FOLLOW = "--follow"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="python -m judgerlvr.submit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", type=Path, help="shared folder for runs and policies, absolute")
    parser.add_argument("--address", help="the cluster's dashboard, such as http://head:8265")
    parser.add_argument("--python", default=sys.executable, help="interpreter on the nodes (default: this one)")
    parser.add_argument("what", help="stage1_judge, stage2_generate, experiment, status, logs, stop or wait")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="arguments of the stage, a job, or a number of nodes"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    return exit_code(lambda: ACTIONS.get(options.what, _submit)(options))


def _submit(options: argparse.Namespace) -> None:
    from judgerlvr.cluster.submission import check, make_submission, submit  # after parsing: --help needs no Ray

    if options.storage is None:
        raise InputError("no --storage", "give a folder that every node sees")
    made = make_submission(options.what, options.arguments, options.storage, options.python, options.address)
    check(made)
    submit(made)


def _status(options: argparse.Namespace) -> None:
    from judgerlvr.cluster.jobs import check_end, connect, dashboard, names, status_line

    client, job = connect(dashboard(options.address)), _job(options, needed=False)
    for name in [job] if job else names(client):
        print(status_line(client, name))
    if job:
        check_end(client, job)


def _logs(options: argparse.Namespace) -> None:
    from judgerlvr.cluster.jobs import connect, dashboard, details, follow

    address, job = dashboard(options.address), _job(options)
    client = connect(address)
    details(client, job)
    if FOLLOW in options.arguments:
        follow(client, job, address)
    else:
        print(client.get_job_logs(job), end="")


def _stop(options: argparse.Namespace) -> None:
    from judgerlvr.cluster.jobs import connect, dashboard, stop

    print(stop(connect(dashboard(options.address)), _job(options)))


def _wait(options: argparse.Namespace) -> None:
    from judgerlvr.cluster.jobs import dashboard
    from judgerlvr.cluster.waiting import wait_for_nodes

    number = "".join(options.arguments)
    if not number.isdecimal():
        raise InputError("wait takes one number of nodes", "give the number with the head counted, such as wait 2")
    print(f"{counted(wait_for_nodes(dashboard(options.address), int(number)), 'node')} live", flush=True)


def _job(options: argparse.Namespace, needed: bool = True) -> str:
    """The job that is named, empty for none.

    Raises:
        InputError: no job where one is needed, or more words than a job.
    """
    words = [word for word in options.arguments if not (word == FOLLOW and options.what == "logs")]
    if len(words) > 1 or (needed and not words):
        raise InputError(f"{options.what} takes one job, {len(words)} given", "`status` without a job lists all")
    return words[0] if words else ""


ACTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "status": _status,
    "logs": _logs,
    "stop": _stop,
    "wait": _wait,
}

if __name__ == "__main__":
    sys.exit(main())
