"""The doctor's page: all findings of one stage, faults included, and the command to run next."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from judgerlvr.cli import MODULES
from judgerlvr.cluster.ray import check_address
from judgerlvr.config.effective import configure, describe
from judgerlvr.pipeline.checkup.data import DATA
from judgerlvr.pipeline.checkup.findings import Finding, Level, examine_all, fault
from judgerlvr.pipeline.checkup.start import START
from judgerlvr.pipeline.checkup.subject import Subject
from judgerlvr.pipeline.requests import ADDRESS, unchecked_request
from judgerlvr.runs.folder import end_of, existing_run
from judgerlvr.runs.manifest import MANIFEST, read_manifest
from judgerlvr.runs.request import Request
from judgerlvr.runs.terminal import width_of
from rewards.errors import InputError
from rewards.wording import counted


def run_doctor(options: argparse.Namespace) -> bool:
    """Print the page. Returns whether no fault was found.

    Raises:
        InputError: the configuration itself cannot be read.
    """
    effective = configure(options.config, options.overrides, options.init)
    for line in describe(effective):
        print(line, flush=True)
    faults = warnings = 0
    address, address_faults = _address()
    request = unchecked_request(options.stage, effective.config, options.init, options.out, False, address)
    for finding in (*address_faults, *_findings(Subject(request, here=False))):
        print("\n".join(finding.lines(width_of(sys.stdout))), flush=True)
        faults += finding.level is Level.fault
        warnings += finding.level is Level.warning
    print(f"\n{counted(faults, 'fault')}, {counted(warnings, 'warning')} for the {options.stage} stage")
    print(next_step(options, request, faults))
    return not faults


def _findings(subject: Subject) -> Iterator[Finding]:
    yield from examine_all((*START, *DATA), subject)


def _address() -> tuple[str, list[Finding]]:
    """The cluster's address, empty where none is set or none answers."""
    address = os.environ.get(ADDRESS, "")
    try:
        if address:
            check_address(address)
    except InputError as error:
        return "", [fault(error, "cluster")]
    return address, []


def next_step(options: argparse.Namespace, request: Request, faults: int) -> str:
    """One line with the command that comes next, whole."""
    given = [*(["--config", str(options.config)] if options.config else []), *options.overrides]
    init = ["--init", str(options.init)] if options.init else []
    out = ["--out", str(options.out)] if options.out else []
    if faults:
        return f"mend the faults, then: {command('doctor', options.stage, *given, *init, *out)}"
    if not _is_finished(request):
        return f"next: {command(MODULES[options.stage], *given, *init, *out)}"
    if options.stage == "judge":
        return f"the judge stage is finished, next: {command('stage2_generate', *given, '--init', str(request.link))}"
    heldout = request.config.data.heldout or [str(Path(request.config.runs) / "generate" / "data" / "heldout.jsonl")]
    arguments = ["--model", str(request.link), "--data", *heldout]
    return f"the generate stage is finished, next: {command('evaluate', *arguments)}"


def command(module: str, *words: str) -> str:
    """A command of this product as a person types the command."""
    return shlex.join(["python", "-m", f"judgerlvr.{module}", *words])


def _is_finished(request: Request) -> bool:
    run_dir = existing_run(request.folder)
    if run_dir is None or not (run_dir / MANIFEST).is_file():
        return False
    return end_of(run_dir, read_manifest(run_dir)) is not None
