"""The request for one stage, made from a configuration and checked as far as can be told before data is read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from judgerlvr.config.check import check_config
from judgerlvr.config.load import resolve_path
from judgerlvr.config.schema import Config, Kind
from judgerlvr.models.directory import pick_device
from judgerlvr.models.hub import model_directory
from judgerlvr.pipeline.checkup.findings import examine
from judgerlvr.pipeline.checkup.start import START
from judgerlvr.pipeline.checkup.subject import Subject
from judgerlvr.runs.request import Request, default_link
from judgerlvr.runs.terminal import width_of
from rewards.errors import InputError, reading

ADDRESS = "RAY_ADDRESS"


def make_request(
    kind: Kind, config: Config, init: Path | None = None, link: Path | None = None, here: bool = True
) -> Request:
    """The request for one stage, checked. Findings are printed.

    ``init`` is the starting policy, by default ``model.path``. ``link`` names the finished policy, by default
    ``ckpt/judge`` or ``ckpt/generate``. ``RAY_ADDRESS`` names the cluster, and an unset variable means a private
    cluster. Without ``here`` the stage is planned only, so that its GPUs may be elsewhere.

    Raises:
        InputError: the first thing that is wrong, with its remedy.
    """
    subject = Subject(unchecked_request(kind, config, init, link, here), here)
    print_start(subject)
    return subject.request


def unchecked_request(
    kind: Kind, config: Config, init: Path | None, link: Path | None, here: bool, address: str | None = None
) -> Request:
    """The request with absolute paths and a device, before any check of its inputs.

    Raises:
        InputError: keys that do not fit each other, no folder at ``init``, or a device that is not there.
    """
    check_config(config)
    with reading("the path cannot be followed", "give a model directory", file=init or config.model.path):
        policy = (resolve_path(init) if init else model_directory(config.model.path)).resolve()
    if init and not policy.exists():
        raise InputError("no such folder", "give a finished policy, as stage 1 makes ckpt/judge", file=policy)
    ray_address = address if address is not None else os.environ.get(ADDRESS)
    return Request(
        kind=kind,
        config=config,
        init=policy,
        link=link or default_link(kind),
        device=pick_device(config.cluster.device, here, ray_address),
        ray_address=ray_address or None,
    )


def print_start(subject: Subject) -> None:
    """Make the checks of the start and print the findings.

    Raises:
        InputError: the first fault.
    """
    for finding in examine(START, subject):
        print("\n".join(finding.lines(width_of(sys.stdout))), flush=True)
